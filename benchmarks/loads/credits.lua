-- Single credits, each under a key of its own. Arguments: the API key, a prefix for the keys, the number of wallets.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  api_key, prefix, wallets = arguments[1], arguments[2], tonumber(arguments[3])
  counter = 0
  math.randomseed(number * 7919 + 17)
  headers = {["Authorization"] = "Bearer " .. api_key, ["Content-Type"] = "application/json"}
end

function request()
  counter = counter + 1
  headers["Idempotency-Key"] = prefix .. "-" .. number .. "-" .. counter
  local path = string.format("/v1/wallets/00000000-0000-7000-8000-%012x/credits", math.random(1, wallets))
  return wrk.format("POST", path, headers, '{"amount":1}')
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "refused": %d, "broken": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
