-- Batches of credits, as fast as they are answered or refused. Arguments: the API key, the wallet, the size of a batch.
-- Prints how often each status was answered, and how many refusals did not say when to come again.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local api_key, wallet, size = arguments[1], arguments[2], tonumber(arguments[3])
  headers = {["Authorization"] = "Bearer " .. api_key, ["Content-Type"] = "application/json"}
  middle, size_of_batch, counter = '","wallet_id":"' .. wallet .. '","amount":1}', size, 0
  statuses, without_retry_after = "", 0
  seen = {}
end

function request()
  local commands = {}
  for place = 1, size_of_batch do
    counter = counter + 1
    commands[place] = '{"type":"credit","idempotency_key":"flood-' .. counter .. middle
  end
  return wrk.format("POST", "/v1/batches", headers, '{"commands":[' .. table.concat(commands, ",") .. "]}")
end

function response(status, headers, body)
  seen[status] = (seen[status] or 0) + 1
  if status == 503 and headers["retry-after"] ~= "1" then
    without_retry_after = without_retry_after + 1
  end
  local parts = {}
  for code, count in pairs(seen) do
    table.insert(parts, string.format('"%d": %d', code, count))
  end
  statuses = table.concat(parts, ", ")
end

function done(summary, latency, requests)
  local errors, thread = summary.errors, threads[1]
  io.write(string.format(
    'RESULT {"statuses": {%s}, "without_retry_after": %d, "broken": %d, "late": %d, "max_us": %d, "p50_us": %d}\n',
    thread:get("statuses"), thread:get("without_retry_after"), errors.connect + errors.read + errors.write,
    errors.timeout, latency.max, latency:percentile(50)))
end
