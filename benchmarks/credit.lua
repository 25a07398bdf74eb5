-- Credits of 1, each under a key of its own. Arguments: API key, file of wallet ids, a word that no other run used.
local ids, headers, run, number = {}, {}, "", 0

function init(args)
  headers["Authorization"] = "Bearer " .. args[1]
  headers["Content-Type"] = "application/json"
  for id in io.lines(args[2]) do ids[#ids + 1] = id end
  run = args[3]
  math.randomseed(os.time())
end

function request()
  number = number + 1
  headers["Idempotency-Key"] = run .. "-" .. number
  return wrk.format("POST", "/v1/wallets/" .. ids[math.random(#ids)] .. "/credits", headers, '{"amount":1}')
end
