import DStreamTestKit
import Foundation
import Testing

/// A claim that is compared with a naive model for many seeds.
///
/// A failure names its seed. `PROPERTY_SEED=17 swift test --filter …` runs that one alone.
struct Property {
    private static let only = ProcessInfo.processInfo.environment["PROPERTY_SEED"].flatMap(Int.init)
    /// After so many failing seeds the rest says nothing new.
    private static let failuresMaximum = 3

    private let name: String
    private let histories: Int

    init(_ name: String, histories: Int) {
        self.name = name
        self.histories = histories.testRounds
    }

    /// Runs every seed and prints how many there were.
    ///
    /// - Parameter differences: what a seed's history gives that the model does not.
    func check(_ differences: (_ seed: Int) async throws -> [String]) async {
        var (ran, failed) = (0, 0)
        for seed in Self.only.map({ $0...$0 }) ?? 1...histories {
            var found: [String]
            do { found = try await differences(seed) } catch { found = ["threw \(error)"] }
            ran += 1
            guard !found.isEmpty else { continue }
            failed += 1
            Issue.record("\(name), seed \(seed): \(found.prefix(3).joined(separator: "\n"))")
            if failed == Self.failuresMaximum { break }
        }
        print("property \(name): \(ran) histories")
    }
}

/// In which seconds batches differ, in words; nothing when they do not.
func differences(_ what: String, _ ours: [Int: [String]], _ model: [Int: [String]]) -> [String] {
    Set(ours.keys).union(model.keys).sorted().flatMap {
        difference("\(what), second \($0)", ours[$0], model[$0])
    }
}

/// How two values differ, in words; nothing when they do not.
func difference<Value: Equatable>(_ what: String, _ ours: Value, _ model: Value) -> [String] {
    ours == model ? [] : ["\(what): \(ours) instead of \(model)"]
}
