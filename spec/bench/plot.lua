-- The ratios of benchmarks as a plot: a function of the results to the text of an SVG.
local WIDTH, LABELS, LINE = 900, 430, 22 -- pixels
local LEAST, MOST = 0.1, 10              -- ratios, on a logarithmic scale

-- Where a ratio stands.
local function x(ratio)
  local share = math.log(math.max(LEAST, math.min(MOST, ratio)) / LEAST) / math.log(MOST / LEAST)
  return LABELS + share * (WIDTH - LABELS - 60)
end

local function escape(text) return (text:gsub("[&<>]", {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;"})) end

return function(results)
  local height = (#results + 2) * LINE
  local out = {
    ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">')
      :format(WIDTH, height),
    '<rect width="100%" height="100%" fill="white"/>',
  }
  local function add(format, ...) table.insert(out, format:format(...)) end
  for _, ratio in ipairs{0.1, 0.2, 0.5, 1, 2, 5, 10} do
    add('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/>', x(ratio), x(ratio), LINE, height - LINE // 2,
      ratio == 1 and "black" or "#ccc")
    add('<text x="%.1f" y="%d" text-anchor="middle">%g</text>', x(ratio), LINE - 6, ratio)
  end
  for i, row in ipairs(results) do
    local y = i * LINE + LINE // 2
    add('<text x="%d" y="%d" text-anchor="end">%s</text>', LABELS - 8, y + 4, escape(row.what))
    if row.ratio then
      local from, to = math.min(x(1), x(row.ratio)), math.max(x(1), x(row.ratio))
      add('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"><title>%s: %.2f</title></rect>', from, y - 6, to - from,
        12, row.ratio <= 1 and "#3a7d44" or "#b3543f", row.name, row.ratio)
      add('<text x="%.1f" y="%d">%.2f</text>', math.max(to, x(1)) + 4, y + 4, row.ratio)
    end
    add('<circle cx="%.1f" cy="%d" r="3" fill="none" stroke="black"><title>wanted: %.2f</title></circle>', x(row.wanted), y,
      row.wanted)
  end
  table.insert(out, "</svg>")
  return table.concat(out, "\n")
end
