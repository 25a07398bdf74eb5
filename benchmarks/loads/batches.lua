-- Batches of credits. Arguments: the API key, a prefix for the keys, the number of wallets, the size of a batch.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  api_key, prefix, wallets, size = arguments[1], arguments[2], tonumber(arguments[3]), tonumber(arguments[4])
  counter = 0
  math.randomseed(number * 7919 + 17)
  headers = {["Authorization"] = "Bearer " .. api_key, ["Content-Type"] = "application/json"}
end

function request()
  local commands = {}
  for place = 1, size do
    counter = counter + 1
    commands[place] = string.format(
      '{"type":"credit","idempotency_key":"%s-%d-%d","wallet_id":"00000000-0000-7000-8000-%012x","amount":1}',
      prefix, number, counter, math.random(1, wallets))
  end
  return wrk.format("POST", "/v1/batches", headers, '{"commands":[' .. table.concat(commands, ",") .. "]}")
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "refused": %d, "broken": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
