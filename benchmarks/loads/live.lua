-- The liveness of the process: the least that there is to answer.
require("common")

init = begin

function request()
  return wrk.format("GET", "/health/live")
end
