import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

/// Whether a program could start is known before it does, and finding out changes nothing.
@Suite("Recovery check", .timeLimit(.minutes(5)))
struct RecoveryCheckTests {
    private typealias Declare = @Sendable (DStream<(String, Int)>) -> Void

    private static let sums: Declare = { words in
        words.updateStateByKey { values, state -> Int? in (state ?? 0) + values.reduce(0, +) }
            .named("sums").foreachRDD { _ in }
    }

    private static let pairs: Declare = { words in
        words.updateStateByKey { _, _ in (1, 2) }.named("sums").foreachRDD { _ in }
    }

    private func harness(_ declare: Declare) -> StreamHarness {
        let harness = StreamHarness()
        declare(harness.input([[("a", 1)], [("b", 2)]], from: .seconds(1)))
        return harness
    }

    @Test func sayWhetherAProgramCanStart() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "check")
        defer { try? FileSystem.removeTree(directory) }
        let none = try await StreamingContext.checkRecovery(
            checkpointDirectory: directory + "/none"
        ) {
            harness(Self.sums).ssc
        }
        #expect(none.canStart)
        #expect(
            none.findings == [
                "there is no checkpoint in \(directory)/none: the program would begin anew"
            ])

        let first = harness(Self.sums)
        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
            first.ssc
        }
        try await ssc.start()
        try await first.advance()
        try await first.advance()
        // It may be looked at while the program has it.
        _ = try await StreamingContext.checkRecovery(checkpointDirectory: directory) {
            harness(Self.sums).ssc
        }
        await ssc.stop(graceful: true)

        let before = try contents(of: directory)
        let same = try await StreamingContext.checkRecovery(checkpointDirectory: directory) {
            harness(Self.sums).ssc
        }
        #expect(same.canStart, "\(same)")
        #expect(
            same.findings.contains("updateStateByKey \"sums\" goes on with its state"), "\(same)")
        let changed = try await StreamingContext.checkRecovery(checkpointDirectory: directory) {
            harness(Self.pairs).ssc
        }
        #expect(!changed.canStart)
        for part in [
            "migrateState(from:)", "RecoveryCheckTests.swift:", "checkpoint directory \(directory)",
        ] {
            #expect("\(changed)".contains(part), "\(changed)")
        }
        #expect(try contents(of: directory) == before)
    }

    private final class Messages: DiagnosticLogger {
        private let texts = Locked<[String]>([])
        var all: [String] { texts.withLock { $0 } }

        func log(
            level: DiagnosticLevel, _ message: @autoclosure () -> String,
            metadata: [String: String]
        ) {
            let text = message()
            texts.withLock { $0.append(text) }
        }
    }

    @Test func aClockThatWasSetBackIsToldOf() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "clock")
        defer { try? FileSystem.removeTree(directory) }
        let messages = Messages()
        // A stop that drains runs a batch up to one interval ahead of the clock.
        for start in [BatchTime.seconds(10), .seconds(12), .milliseconds(11_500), .seconds(3)] {
            var components = StreamHarness.quietComponents
            components.logger = messages
            let harness = StreamHarness(startTime: start, components: components)
            Self.sums(harness.input([[("a", 1)], [("b", 2)]], from: .seconds(1)))
            let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
                harness.ssc
            }
            try await ssc.start()
            let warnings = messages.all.filter { $0.contains("was it set back?") }
            #expect(warnings.count == (start == .seconds(3) ? 1 : 0), "\(warnings)")
            if start == .seconds(10) {
                try await harness.advance()
                try await harness.advance()
            }
            await ssc.stop()
        }
    }

    private func contents(of directory: String) throws -> [String: [UInt8]] {
        var contents: [String: [UInt8]] = [:]
        for path in try FileSystem.list(directory) where path.hasPrefix("checkpoint-") {
            contents[path] = try FileSystem.readAll(directory + "/" + path)
        }
        for path in try FileSystem.list(directory + "/state") {
            contents[path] = try FileSystem.readAll(directory + "/state/" + path)
        }
        return contents
    }
}
