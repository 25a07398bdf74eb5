-- Single credits, each under a key of its own.
require("common")

init = begin
request = credit
