import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
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
        declare(harness.input([[("a", 1)], [("b", 2)]]))
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
        #expect(none.findings == ["there is no checkpoint in \(directory)/none"])

        let first = harness(Self.sums)
        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
            first.ssc
        }
        try await ssc.start()
        await first.advance()
        await first.advance()
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
        #expect("\(changed)".contains("migrateState(from:)"), "\(changed)")
        #expect(try contents(of: directory) == before)
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
