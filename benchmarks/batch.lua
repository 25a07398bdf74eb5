-- Batches of credits of 1. Arguments: API key, file of wallet ids, a word that no other run used, commands per batch.
local ids, headers, run, number, size = {}, {}, "", 0, 0

function init(args)
  headers["Authorization"] = "Bearer " .. args[1]
  headers["Content-Type"] = "application/json"
  for id in io.lines(args[2]) do ids[#ids + 1] = id end
  run = args[3]
  size = tonumber(args[4])
  math.randomseed(os.time())
end

function request()
  local commands = {}
  for place = 1, size do
    number = number + 1
    commands[place] = '{"type":"credit","wallet_id":"' .. ids[math.random(#ids)] .. '","amount":1,"idempotency_key":"'
      .. run .. "-" .. number .. '"}'
  end
  return wrk.format("POST", "/v1/batches", headers, '{"commands":[' .. table.concat(commands, ",") .. "]}")
end
