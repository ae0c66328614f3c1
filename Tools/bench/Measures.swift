import BatchEngine

/// A span of CPU time and wall time.
struct Stopwatch {
    private let cpu = ResourceUsage.cpuTime()
    private let wall = SystemTime.wall()

    var cpuSeconds: Double { (ResourceUsage.cpuTime() - cpu) / .seconds(1) }
    var startWall: Duration { wall }
}

/// The smallest of ascending values that so large a part of them does not exceed; 0 of none.
func percentile(_ fraction: Double, of ascending: [Double]) -> Double {
    guard !ascending.isEmpty else { return 0 }
    return ascending[min(ascending.count - 1, Int(Double(ascending.count) * fraction))]
}
