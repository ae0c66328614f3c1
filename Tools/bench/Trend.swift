/// Whether a measured value stayed flat: the median of the last third of a run against that of the
/// second third.
///
/// Medians are not moved by single peaks, such as those that other programs on the machine cause; the
/// first third is left out, as caches, windows and states fill up in it. What may be added to the
/// earlier median is a part of it and an amount, so that small values may vary more.
struct Trend {
    struct Tolerance {
        let name: String
        let factor: Double
        let amount: Double

        static let memory = Tolerance(name: "memory in MB", factor: 1.1, amount: 16)
        static let batchTime = Tolerance(name: "batch time in ms", factor: 1.5, amount: 10)
        static let openFiles = Tolerance(name: "open files", factor: 1, amount: 2)
        static let disk = Tolerance(name: "disk in MB", factor: 1.2, amount: 16)
    }

    let tolerance: Tolerance
    let earlier: Double
    let later: Double
    let most: Double

    init(_ values: [Double], _ tolerance: Tolerance) {
        self.tolerance = tolerance
        let third = values.count / 3
        earlier = percentile(0.5, of: values.dropFirst(third).prefix(third).sorted())
        later = percentile(0.5, of: values.suffix(third).sorted())
        most = values.max() ?? 0
    }

    var isFlat: Bool { later <= earlier * tolerance.factor + tolerance.amount }

    var faults: [String] {
        isFlat ? [] : ["\(tolerance.name) grew from \(earlier) to \(later)"]
    }

    /// The two medians, and the highest value of all.
    var text: String { [earlier, later, most].map { Self.short($0) }.joined(separator: " ") }

    private static func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
