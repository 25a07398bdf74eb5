-- 50 % credits, 30 % debits, 10 % transfers, 5 % holds and captures, 5 % replays of credits of this very load.
-- One more argument: a file with the id of a hold to be captured in each line.
require("common")

local KEPT = 4096
local holds, captured, kept, places = {}, 0, {}, 0

function init(arguments)
  begin(arguments)
  for line in io.lines(arguments[5]) do
    table.insert(holds, line)
  end
end

local function transfer()
  local source = math.random(1, wallets)
  local destination = source % wallets + 1
  return write("/v1/transactions", string.format('{"postings":[{"source":"%s","destination":"%s","amount":1}]}',
    wallet_id(source), wallet_id(destination)))
end

local function hold()
  return write("/v1/wallets/" .. any_wallet() .. "/holds", '{"amount":1}')
end

local function capture()
  if captured == #holds then
    return hold()
  end
  captured = captured + 1
  return write("/v1/holds/" .. holds[captured] .. "/capture", "{}")
end

local function kept_credit()
  local sent = credit()
  places = places % KEPT + 1
  kept[places] = sent
  return sent
end

function request()
  local share = math.random()
  if share < 0.50 then
    return kept_credit()
  elseif share < 0.80 then
    return write("/v1/wallets/" .. any_wallet() .. "/debits", '{"amount":1}')
  elseif share < 0.90 then
    return transfer()
  elseif share < 0.925 then
    return hold()
  elseif share < 0.95 then
    return capture()
  elseif #kept == 0 then
    return kept_credit()
  end
  replays = replays + 1
  return kept[math.random(1, #kept)]
end
