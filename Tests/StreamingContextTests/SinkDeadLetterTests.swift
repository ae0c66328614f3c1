import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// What a transactional sink could not have is in it after a replay, once.
@Suite("Dead letters of sinks", .timeLimit(.minutes(5)))
struct SinkDeadLetterTests {
    private struct Poison: Error {}

    private let medium = SimulatedStorageMedium()

    private func harness(_ input: [[String]], isMended: Bool) -> StreamHarness {
        var components = StreamHarness.quietComponents
        components.deadLetterStore = FileDeadLetterStore("/dead", on: medium)
        let harness = StreamHarness(components: components)
        harness.input(input).map { element in
            if element == "bad", !isMended { throw Poison() }
            return element
        }
        .write(to: FileSink("/out", on: medium))
        .onFailure(then: .deadLetter)
        return harness
    }

    private func committed() async throws -> [Int64: String] {
        var found: [Int64: String] = [:]
        for batch in try await FileSink<String>.committedBatches(in: "/out", on: medium) {
            for file in batch.files {
                let bytes = try medium.readAll("/out/" + file.path)
                found[batch.batch.milliseconds, default: ""] += String(
                    decoding: bytes, as: UTF8.self)
            }
        }
        return found
    }

    @Test func aReplayCommitsTheBatchBetweenLaterOnes() async throws {
        let first = harness([["a"], ["b", "bad"], ["c"]], isMended: false)
        try await first.run(batches: 3)
        #expect(first.errors.isEmpty, "\(first.errors)")
        #expect(try await committed() == [1000: "a\n", 3000: "c\n"])

        for isSecond in [false, true] {
            let replaying = harness([], isMended: true)
            let report = try await replaying.ssc.replayDeadLetters()
            #expect(report.failed.isEmpty && report.problems.isEmpty, "\(report)")
            #expect(report.replayed.count == (isSecond ? 0 : 1))
            #expect(try await committed() == [1000: "a\n", 2000: "b\nbad\n", 3000: "c\n"])
        }
    }

    @Test func aSinkInUseKeepsTheLetter() async throws {
        let first = harness([["bad"], ["a"]], isMended: false)
        try await first.ssc.start()
        try await first.advance()
        let report = try await harness([], isMended: true).ssc.replayDeadLetters()
        #expect(report.failed.count == 1)
        #expect(report.problems.contains { $0.contains("locked") || $0.contains("in use") })
        try await first.advance()
        await first.ssc.stop()
        let again = try await harness([], isMended: true).ssc.replayDeadLetters()
        #expect(again.replayed.count == 1, "\(again)")
        #expect(try await committed() == [1000: "bad\n", 2000: "a\n"])
    }
}
