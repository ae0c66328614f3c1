/// How the cases of one family came out.
struct ConformanceReport: Sendable, CustomStringConvertible {
    /// The family's name.
    let family: String
    /// The cases that agree.
    private(set) var passed: [String] = []
    /// The cases in which a difference is intended, and which.
    private(set) var excepted: [(label: String, deviations: Set<Deviation>)] = []
    /// The cases that disagree.
    private(set) var failed: [String] = []
    /// What disagrees, each naming its case.
    private(set) var failures: [String] = []

    init(family: String) {
        self.family = family
    }

    /// The number of cases, however they came out.
    var count: Int { passed.count + excepted.count + failed.count }

    /// Counts a case: it agrees if nothing disagreed.
    ///
    /// - Parameters:
    ///   - label: the case.
    ///   - differences: what disagreed, each in a sentence.
    ///   - deviations: why another outcome than the recorded one was compared with; none: the
    ///     recorded one was.
    mutating func add(_ label: String, differences: [String], deviations: Set<Deviation> = []) {
        if !differences.isEmpty {
            failed.append(label)
            failures += differences.map { "\(label): \($0)" }
        } else if deviations.isEmpty {
            passed.append(label)
        } else {
            excepted.append((label, deviations))
        }
    }

    /// The line to print for the family, with the excepted and the failed cases by name.
    var description: String {
        let counts =
            "\(family): \(passed.count) passed, \(excepted.count) excepted,"
            + " \(failed.count) failed"
        let exceptions = excepted.map { label, deviations in
            "  excepted \(label): \(deviations.map(\.rawValue).sorted().joined(separator: " "))"
        }
        return ([counts] + exceptions + failures.map { "  failed \($0)" }).joined(separator: "\n")
    }
}
