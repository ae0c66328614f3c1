import BatchEngine
import ProcessEngine
import StreamingContext

/// A span of wall time and of CPU time, that of an engine's worker processes included.
struct Stopwatch {
    private let workers: [Int32]
    private let cpu: Duration
    private let wall = SystemTime.wall()

    /// Starts now.
    ///
    /// - Parameter ssc: its workers must be those of the whole span, as they are when none fails.
    init(_ ssc: StreamingContext? = nil) {
        workers = (ssc?.batchContext.engine as? ProcessEngine)?.workers.ids ?? []
        cpu = Self.cpuTime(workers)
    }

    var cpuSeconds: Double { (Self.cpuTime(workers) - cpu) / .seconds(1) }

    private static func cpuTime(_ workers: [Int32]) -> Duration {
        workers.reduce(ResourceUsage.cpuTime()) {
            $0 + (ResourceUsage.cpuTime(of: $1) ?? .zero)
        }
    }

    var startWall: Duration { wall }
}

/// The smallest of ascending values that so large a part of them does not exceed; 0 of none.
func percentile(_ fraction: Double, of ascending: [Double]) -> Double {
    guard !ascending.isEmpty else { return 0 }
    return ascending[min(ascending.count - 1, Int(Double(ascending.count) * fraction))]
}
