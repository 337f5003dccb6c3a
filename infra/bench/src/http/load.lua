-- One POST over and over. Prints its figures as one line: requests, microseconds, two latencies,
-- and what went wrong.
function init(args)
  wrk.method, wrk.body = "POST", args[1]
  wrk.headers["content-type"] = "application/json"
  wrk.headers["a2a-version"] = "1.0"
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local p50, p99 = latency:percentile(50), latency:percentile(99)
  print("figures", summary.requests, summary.duration, p50, p99, failed)
end
