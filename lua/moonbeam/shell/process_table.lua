--- The processes, sorted, as a sequence of rows that shows as a table: for `processes` of the prompt.
-- @module moonbeam.shell.process_table

local core = require "moonbeam.core"
local Process = require "moonbeam.process"

local process_table = {}

local MOST_ROWS = 50

--- What rows may be sorted by, and the key of Process.info for it.
process_table.keys = {reductions = "reductions", memory = "memory", mailbox = "message_queue_len"}

local columns = {
  {"pid", "%-16s"}, {"name or function", "%-28s"}, {"reductions", "%12s"}, {"memory", "%10s"}, {"mailbox", "%8s"},
  {"current", "  %s"},
}

--- The metatable of the rows; a field so that it travels by name.
process_table.mt = {
  __name = "processes",
  __tostring = function(rows)
    local lines = {""}
    for n, column in ipairs(columns) do
      lines[1] = lines[1] .. (n > 1 and " " or "") .. string.format(column[2], column[1])
    end
    for _, row in ipairs(rows) do
      local cells = {}
      for n, column in ipairs(columns) do
        cells[n] = string.format(column[2], tostring(row[column[1]] or ""))
      end
      lines[#lines + 1] = string.gsub(table.concat(cells, " "), "%s+$", "")
    end
    if rows.count > #rows then lines[#lines + 1] = string.format("... %d in all", rows.count) end
    return table.concat(lines, "\n")
  end,
}

local function row(pid)
  local function info(what) return Process.info(pid, what) end
  return {
    pid = pid, ["name or function"] = info("registered_name") or info("initial_location") or "-",
    reductions = info("reductions"), memory = info("memory"), mailbox = info("message_queue_len"),
    current = info("current_location") or "-",
  }
end

--- The processes with the highest values first.
-- @param key of Process.info, whose values are numbers
-- @return sequence of rows, tables by column, with count: how many processes there are
function process_table.new(key)
  local found = {}
  for _, pid in ipairs(core.process_list()) do
    local value = Process.info(pid, key)
    if value then found[#found + 1] = {pid = pid, value = value} end
  end
  table.sort(found, function(a, b)
    if a.value ~= b.value then return a.value > b.value end
    return a.pid < b.pid
  end)
  local rows = setmetatable({count = #found}, process_table.mt)
  for n = 1, math.min(MOST_ROWS, #found) do rows[n] = row(found[n].pid) end
  return rows
end

return process_table
