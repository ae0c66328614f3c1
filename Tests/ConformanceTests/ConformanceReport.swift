/// How the cases of one family came out.
struct ConformanceReport: Sendable, CustomStringConvertible {
    /// The family's name.
    let family: String
    /// The cases that agree.
    private(set) var passed: [String] = []
    /// The cases in which a difference is intended, and why.
    private(set) var excepted: [(name: String, reason: String)] = []
    /// The cases that another test target runs, and which.
    private(set) var elsewhere: [(name: String, target: String)] = []
    /// The cases that disagree.
    private(set) var failed: [String] = []
    /// What disagrees, each naming its case.
    private(set) var failures: [String] = []

    init(family: String) {
        self.family = family
    }

    /// The number of cases, however they came out.
    var count: Int { passed.count + excepted.count + failed.count + elsewhere.count }

    /// Counts a case: it agrees if nothing disagreed.
    ///
    /// - Parameters:
    ///   - name: the case.
    ///   - differences: what disagreed, each in a sentence.
    ///   - reason: why another outcome is intended for this case; then `differences` are those from
    ///     the intended one.
    mutating func add(_ name: String, differences: [String], exceptedBecause reason: String? = nil)
    {
        guard differences.isEmpty else {
            failed.append(name)
            failures += differences.map { "\(name): \($0)" }
            return
        }
        if let reason {
            excepted.append((name, reason))
        } else {
            passed.append(name)
        }
    }

    /// Counts a case that another test target runs.
    mutating func add(_ name: String, runBy target: String) { elsewhere.append((name, target)) }

    /// The line to print for the family, with the excepted and the failed cases by name.
    var description: String {
        let counts =
            "\(family): \(passed.count) passed, \(excepted.count) excepted,"
            + " \(failed.count) failed"
        let others = Dictionary(grouping: elsewhere, by: \.target).map { target, cases in
            "  \(cases.count) run by \(target)"
        }
        let exceptions = excepted.map { "  excepted \($0.name): \($0.reason)" }
        return ([counts] + others + exceptions + failures.map { "  failed \($0)" })
            .joined(separator: "\n")
    }
}
