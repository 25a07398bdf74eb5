-- What all loads share. Each script begins with require("common"), and makes requests only.
-- Arguments of every load: the API key, the kind of idempotency keys, a seed, the number of wallets.
local threads = {}

-- Runs once for each thread, in the state that `done` runs in too. With several ports, each thread has its own.
function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
  local ports = {}
  for port in (os.getenv("WALLET_BENCHMARK_PORTS") or ""):gmatch("%d+") do
    table.insert(ports, port)
  end
  if #ports > 0 then
    thread.addr = wrk.lookup("127.0.0.1", ports[(#threads - 1) % #ports + 1])[1]
  end
end

-- Called by each script's `init`.
function begin(arguments)
  api_key, kind_of_keys, wallets = arguments[1], arguments[2], tonumber(arguments[4])
  math.randomseed(tonumber(arguments[3]) + number)
  counter, replays, unexpected = 0, 0, 0
  headers = {["Authorization"] = "Bearer " .. api_key, ["Content-Type"] = "application/json"}
end

-- A UUID, as clients make their keys: random (version 4), or in the order of time (much as in version 7).
function new_key()
  local random = math.random
  counter = counter + 1
  if kind_of_keys == "ordered" then
    return string.format("%08x-%04x-7%03x-a%03x-%08x%04x", os.time(), counter % 0x10000,
      random(0, 0xfff), random(0, 0xfff), random(0, 0xffffffff), random(0, 0xffff))
  end
  return string.format("%08x-%04x-4%03x-a%03x-%08x%04x", random(0, 0xffffffff), random(0, 0xffff),
    random(0, 0xfff), random(0, 0xfff), random(0, 0xffffffff), random(0, 0xffff))
end

function wallet_id(place)
  return string.format("00000000-0000-7000-8000-%012x", place)
end

function any_wallet()
  return wallet_id(math.random(1, wallets))
end

function write(path, body)
  headers["Idempotency-Key"] = new_key()
  return wrk.format("POST", path, headers, body)
end

function credit()
  return write("/v1/wallets/" .. any_wallet() .. "/credits", '{"amount":1}')
end

function done(summary, latency, requests)
  local errors, sent_again = summary.errors, 0
  local unexpected_answers = 0
  for _, thread in ipairs(threads) do
    sent_again = sent_again + thread:get("replays")
    unexpected_answers = unexpected_answers + thread:get("unexpected")
  end
  io.write(string.format(
    'RESULT {"requests": %d, "refused": %d, "unexpected": %d, "broken": %d, "replays": %d, ' ..
    '"duration_us": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, errors.status, unexpected_answers,
    errors.connect + errors.read + errors.write + errors.timeout, sent_again, summary.duration, latency:percentile(50), latency:percentile(99)))
end
