--- The results that the prompt keeps for `v`: by session, found by its evaluator.
-- @module moonbeam.shell.results

local core = require "moonbeam.core"

local results = {}

--- How many inputs keep their results; as many as IEx's.
results.MOST = 20

-- Evaluators by pid: what is kept for their sessions, as long as it is kept there.
local states = setmetatable({}, {__mode = "v"})

--- The calling process is the evaluator of a session from now on.
-- @param state table: results by number, each packed, and n, the number of the next input
function results.begin(state) states[core.self()] = state end

--- What `begin` was given; nil elsewhere than at a prompt.
function results.of_caller() return states[core.self()] end

return results
