import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// Records that cannot be parsed.
@Suite("Records that cannot be parsed", .timeLimit(.minutes(5)))
struct ParsingTests {
    private struct NoNumber: Error, CustomStringConvertible {
        let description = "no number"
    }

    private static func number(_ text: String) throws -> Int {
        guard let number = Int(text) else { throw NoNumber() }
        return number
    }

    private static let lines = [["1", "x", "2", "y", "3"], ["4"], ["z"]]

    private func rejectedCount(_ harness: StreamHarness) -> Int {
        harness.listener.events.reduce(0) { sum, event in
            if case .recordsRejected(_, _, let count, _) = event { sum + count } else { sum }
        }
    }

    private func rejected(_ harness: StreamHarness) -> [String] {
        harness.listener.events.compactMap { event in
            guard case .recordsRejected(let time, let name, let count, let reason) = event else {
                return nil
            }
            return "\(time.milliseconds) \(name.prefix(6)) \(count) \(reason)"
        }
    }

    @Test("they are left out, and counted once however many operations use the others")
    func skipped() async throws {
        let harness = StreamHarness()
        let numbers = harness.input(Self.lines).parse(onError: .skip) { try Self.number($0) }
        let all = harness.record(numbers)
        let sums = harness.record(numbers.map { ("sum", $0) }.reduceByKey(+))
        _ = harness.record(numbers)
        try await harness.run(batches: 3)
        #expect(all.batches.map(\.elements) == [[1, 2, 3], [4], []])
        #expect(sums.batches.map { $0.elements.map(\.1) } == [[6], [4], []])
        #expect(harness.errors.isEmpty)
        #expect(rejected(harness) == ["1000 parse  2 no number", "3000 parse  1 no number"])
    }

    @Test("what an operation that looks at some partitions has met is not counted again")
    func partly() async throws {
        let harness = StreamHarness()
        let numbers = harness.input([["x", "1", "2", "3", "4", "y"]], partitions: 2)
            .parse(onError: .skip) { try Self.number($0) }
        numbers.foreachRDD { rdd in _ = try await rdd.take(1) }
        numbers.foreachRDD { rdd in _ = try await rdd.count() }
        try await harness.run(batches: 1)
        #expect(rejectedCount(harness) == 2)
    }

    @Test("they are a stream of their own")
    func streamOfFailures() async throws {
        let harness = StreamHarness()
        var failures: OutputRecorder<ParseFailure<String>>?
        let numbers = harness.input(Self.lines).parse {
            try Self.number($0)
        } onError: { stream in
            failures = harness.record(stream)
        }
        let all = harness.record(numbers)
        try await harness.run(batches: 3)
        #expect(all.batches.map(\.elements) == [[1, 2, 3], [4], []])
        let seen = try #require(failures).batches.map(\.elements)
        #expect(seen.map { $0.map(\.record) } == [["x", "y"], [], ["z"]])
        #expect(seen[2] == [ParseFailure(record: "z", reason: "no number")])
    }

    @Test("they are kept in a dead letter, and what is parsed goes on")
    func deadLetters() async throws {
        let medium = SimulatedStorageMedium()
        let harness = LetterRun.harness(medium)
        let all = harness.record(
            harness.input(Self.lines).parse(onError: .deadLetter) { try Self.number($0) })
        try await harness.run(batches: 3)
        #expect(all.batches.map(\.elements) == [[1, 2, 3], [4], []])
        #expect(harness.errors.isEmpty)
        #expect(await harness.ssc.stop().pendingBatches.isEmpty)
        let entries = try await LetterRun.entries(medium)
        #expect(entries.map(\.id.batchTime) == [.seconds(1), .seconds(3)])
        let letter = try #require(try await LetterRun.letter(medium))
        #expect(letter.entry.reason.contains("2 records could not be parsed; the first: no number"))
        guard case .output(let elements) = letter.contents else {
            Issue.record("not the elements of the output")
            return
        }
        let kept = try elements.decode(as: ParseFailure<String>.self)
        #expect(kept.map(\.record) == ["x", "y"])
    }

    @Test("without a place for dead letters the start is refused")
    func refused() async throws {
        let harness = StreamHarness()
        harness.input([["1"]]).parse(onError: .deadLetter) { try Self.number($0) }.print()
        await #expect { try await harness.ssc.start() } throws: {
            "\($0)".contains("parse is to keep dead letters and there is no directory")
        }
    }
}
