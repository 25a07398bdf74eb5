-- Batches of credits. One more argument: the size of a batch.
require("common")

local size

function init(arguments)
  begin(arguments)
  size = tonumber(arguments[5])
end

function request()
  local commands = {}
  for place = 1, size do
    commands[place] = string.format(
      '{"type":"credit","idempotency_key":"%s","wallet_id":"%s","amount":1}', new_key(), any_wallet())
  end
  return wrk.format("POST", "/v1/batches", headers, '{"commands":[' .. table.concat(commands, ",") .. "]}")
end
