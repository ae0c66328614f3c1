import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// Directories of dead letters that are gone when a program starts again.
@Suite("Lost directories of dead letters", .timeLimit(.minutes(5)))
struct LostDeadLetterTests {
    private static let directory = DurableRun.directory + "/dead-letters"

    /// A sink that is down for some batches, whose elements are then in dead letters.
    private struct Program {
        var run = DurableRun()
        let sink = ScriptedSink()

        init() { run.policy = .deadLetter }

        func declare(_ harness: StreamHarness) {
            let sink = sink
            harness.input([[1], [2], [3], [4]]).foreachRDD { rdd, time in
                try sink.insert(try await rdd.collect().map { "\($0)" }, at: time)
            }
        }

        /// Runs batches, and what is given after each of them.
        func go(
            from start: Int64, batches: Int = 1, after: (Int) throws -> Void = { _ in }
        ) async throws {
            let harness = try await run.start(from: .seconds(start), declare)
            for batch in 1...batches {
                try await harness.advanceAndSettle()
                try after(batch)
            }
            await harness.ssc.stop(graceful: true)
            #expect(harness.errors.isEmpty, "\(harness.errors)")
        }

        func replay() async throws -> StreamingContext.ReplayReport {
            sink.setDown([])
            let harness = StreamHarness(components: run.quietComponents)
            harness.ssc.checkpoint(DurableRun.directory)
            declare(harness)
            return try await harness.ssc.replayDeadLetters()
        }

        /// What starts have said of letters that are gone.
        var missed: [String] { run.warnings.all.filter { $0.contains("missing dead letter") } }
    }

    /// The files in a directory and those in it.
    private func files(
        _ medium: SimulatedStorageMedium, _ directory: String
    ) throws -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for name in (try? medium.list(directory)) ?? [] {
            let path = directory + "/" + name
            files[path] = medium.contents(of: path)
            files.merge(try self.files(medium, path)) { one, _ in one }
        }
        return files
    }

    private func remove(_ medium: SimulatedStorageMedium, _ directory: String) throws {
        for path in try files(medium, directory).keys { try medium.remove(path) }
    }

    @Test("a directory that is gone is missed, by each start, until it is back or given up")
    func removed() async throws {
        let program = Program()
        let medium = program.run.medium
        program.sink.setDown([.seconds(1)])
        try await program.go(from: 0)
        let kept = try files(medium, Self.directory)
        #expect(kept.keys.contains { $0.hasSuffix(".letter") } && program.missed.isEmpty)
        try remove(medium, Self.directory)
        for start in 1...2 as ClosedRange<Int64> {
            try await program.go(from: start)
            #expect(program.missed.count == Int(start), "\(program.run.warnings.all)")
        }
        #expect(program.missed.first?.contains("are not in \(Self.directory)") == true)
        #expect(try await program.replay().problems.count == 1)

        // Gone once more, with what was known of it.
        try remove(medium, Self.directory)
        try await program.go(from: 3)
        #expect(program.missed.count == 3)

        let index = Self.directory + "/index"
        let lines = String(decoding: try #require(medium.contents(of: index)), as: UTF8.self)
            .split(separator: "\n").filter { !$0.hasPrefix("lost ") }
        let lost = try #require(medium.contents(of: index))
        medium.setContents(of: index, to: Array((lines.joined(separator: "\n") + "\n").utf8))
        try await program.go(from: 4)
        #expect(program.missed.count == 3, "given up")

        medium.setContents(of: index, to: lost)
        try remove(medium, Self.directory)
        for (path, bytes) in kept { medium.setContents(of: path, to: bytes) }
        try await program.go(from: 5)
        #expect(program.missed.count == 3, "restored")
        #expect(try await program.run.letters().count == 1)
    }

    @Test("a directory that is an older copy, or was removed meanwhile, is missed")
    func older() async throws {
        for isOlder in [false, true] {
            let program = Program()
            let medium = program.run.medium
            program.sink.setDown([.seconds(1), .seconds(2)])
            var copy: [String: [UInt8]] = [:]
            try await program.go(from: 0, batches: 2) { batch in
                guard batch == 1 else { return }
                copy = try files(medium, Self.directory)
                if !isOlder { try remove(medium, Self.directory) }
            }
            if isOlder {
                try remove(medium, Self.directory)
                for (path, bytes) in copy { medium.setContents(of: path, to: bytes) }
            }
            try await program.go(from: 2)
            #expect(program.missed.count == 1, "\(isOlder): \(program.run.warnings.all)")
        }
    }

    @Test("a directory that was moved is missed until the program has its path")
    func moved() async throws {
        var program = Program()
        let medium = program.run.medium
        program.sink.setDown([.seconds(1)])
        try await program.go(from: 0)
        for (path, bytes) in try files(medium, Self.directory) {
            medium.setContents(of: "/moved" + path.dropFirst(Self.directory.count), to: bytes)
        }
        try remove(medium, Self.directory)
        program.run.lettersDirectory = "/moved"
        try await program.go(from: 1)
        #expect(program.missed.isEmpty, "\(program.run.warnings.all)")
        program.run.lettersDirectory = "/other"
        try await program.go(from: 2)
        #expect(program.missed.count == 1)
        let text = "dead letters were kept in /moved, and this program has them in /other"
        #expect(program.run.warnings.all.contains { $0.contains(text) })
    }

    @Test("letters that were replayed, moved to done or taken out of the index are not missed")
    func settled() async throws {
        for way in 0...2 {
            let program = Program()
            let medium = program.run.medium
            program.sink.setDown([.seconds(1)])
            try await program.go(from: 0)
            let path = try #require(
                try files(medium, Self.directory).keys.first { $0.hasSuffix(".letter") })
            let name = path.dropFirst(Self.directory.count)
            if way == 0 {
                #expect(try await program.replay().replayed.count == 1)
                try remove(medium, Self.directory + "/done")
            } else if way == 1 {
                try medium.rename(path, to: Self.directory + "/done" + name)
            } else {
                try medium.remove(path)
                let index = Self.directory + "/index"
                let lines = String(
                    decoding: try #require(medium.contents(of: index)), as: UTF8.self
                ).split(separator: "\n").filter { !$0.contains(name.dropFirst()) }
                medium.setContents(
                    of: index, to: Array((lines.joined(separator: "\n") + "\n").utf8))
            }
            try await program.go(from: 1)
            // No checkpoint speaks of them any more: all may go.
            try remove(medium, Self.directory)
            try await program.go(from: 2)
            #expect(program.missed.isEmpty, "\(way): \(program.run.warnings.all)")
        }
    }
}
