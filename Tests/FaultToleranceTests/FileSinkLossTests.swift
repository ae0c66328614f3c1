import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// A file sink whose manifest, or part of it, is gone: nothing that was committed is removed.
@Suite(.timeLimit(.minutes(5))) struct FileSinkLossTests {
    private typealias History = FileSinkHistory

    /// A medium with eight committed batches, and one that was on its way.
    private func medium() async throws -> SimulatedStorageMedium {
        let medium = SimulatedStorageMedium()
        let sink = History.sink(medium)
        _ = try await sink.recover(slide: .seconds(1))
        for number in 1...8 { try await History.write(sink, number) }
        await sink.close()
        medium.setContents(of: History.directory + "/data/9000-00000-99.txt", to: [1])
        medium.setContents(of: History.directory + "/staged/9000-00001-98.txt", to: [1])
        return medium.restarted()
    }

    /// Eight batches have completed, and the ninth is pending.
    private let start = SinkStart(
        slide: .seconds(1),
        resumption: SinkResumption(
            pending: [History.time(9)], newestBegun: History.time(9)))

    private func names(_ medium: SimulatedStorageMedium) throws -> [String] {
        try medium.list(History.directory + "/data")
    }

    @Test("what a batch left that will run again is removed, and nothing else")
    func sweep() async throws {
        let medium = try await medium()
        let before = try names(medium)
        #expect(before.contains("9000-00000-99.txt"))
        _ = try await History.sink(medium).recover(start)
        #expect(try names(medium) == before.filter { !$0.hasPrefix("9000-") })
        #expect(try medium.list(History.directory + "/staged").isEmpty)
        #expect(try await History.read(medium) == History.expected(1...8))
    }

    @Test("any file of the manifest that is gone is missed, with a checkpoint")
    func missingEntry() async throws {
        let manifest = History.directory + "/manifest"
        for name in try await medium().list(manifest) {
            let medium = try await medium()
            // Batches 3 and 6 are empty: without an entry there is nothing of them.
            if ["batch-3000", "batch-6000"].contains(name) { continue }
            try medium.remove(manifest + "/" + name)
            try await refuses(medium, start)
        }
    }

    @Test("a manifest that is gone is missed", arguments: [true, false], [true, false])
    func missingManifest(hasCheckpoint: Bool, isEmptied: Bool) async throws {
        let before = try await medium()
        let medium = SimulatedStorageMedium()
        try medium.createDirectories(History.directory + "/data")
        try medium.createDirectories(History.directory + "/staged")
        if isEmptied { try medium.createDirectories(History.directory + "/manifest") }
        for name in try names(before) {
            let path = History.directory + "/data/" + name
            medium.setContents(of: path, to: try before.readAll(path))
        }
        for _ in 0..<2 {
            try await refuses(medium, hasCheckpoint ? start : SinkStart(slide: .seconds(1)))
        }
    }

    @Test("without a checkpoint, files after the newest batch stay, and before it are refused")
    func withoutCheckpoint() async throws {
        let medium = try await medium()
        let before = try names(medium)
        let sink = History.sink(medium)
        _ = try await sink.recover(slide: .seconds(1))
        #expect(try names(medium) == before)
        await sink.close()
        medium.setContents(of: History.directory + "/data/2500-00000-1.txt", to: [1])
        try await refuses(medium, SinkStart(slide: .seconds(1)))
    }

    private func refuses(_ medium: SimulatedStorageMedium, _ start: SinkStart) async throws {
        let before = try names(medium)
        let staged = try medium.list(History.directory + "/staged")
        let error = await #expect(throws: SinkError.self) {
            _ = try await History.sink(medium).recover(start)
        }
        #expect(error?.code == .damaged)
        let message = "\(try #require(error))"
        #expect(message.contains(History.directory + "/manifest"))
        #expect(message.contains("See \"output without manifest\" in Docs/Messages.md"))
        #expect(try names(medium) == before)
        #expect(try medium.list(History.directory + "/staged") == staged)
    }

    @Test("a commit that failed for good leaves nothing that would be refused")
    func failedCommit() async throws {
        let medium = SimulatedStorageMedium()
        let sink = History.sink(medium)
        _ = try await sink.recover(slide: .seconds(1))
        try await History.write(sink, 1)
        medium.fail { $0.kind == .create && $0.path.contains("/manifest/") ? .full : nil }
        await #expect(throws: (any Error).self) { try await History.write(sink, 2) }
        medium.fail(where: nil)
        try await History.write(sink, 4)
        await sink.close()
        // Batch 2 was dead-lettered: it counts as completed.
        let again = History.sink(medium.restarted())
        let resumption = SinkResumption(pending: [], newestBegun: History.time(4))
        _ = try await again.recover(SinkStart(slide: .seconds(1), resumption: resumption))
    }

    @Test(
        "names of data files are told from others",
        arguments: [
            ("1000-00000-1.txt", 1000), ("-500-00012-34", -500), ("0-123456-1.a.b", 0),
            ("1000-0000-1.txt", nil), ("1000-00000-.txt", nil), ("-00000-1.txt", nil),
            ("1000-00000-1txt", nil), ("a", nil), ("", nil), ("1000-00000-1-", nil),
            ("9999999999999999999-00000-1", nil), ("--1-00000-1", nil),
        ] as [(String, Int64?)])
    func names(name: String, time: Int64?) {
        #expect(FileSinkLayout.batch(ofData: name)?.milliseconds == time)
    }

    /// A start reads the beginnings of the manifest's files and the names of data, and opens no data.
    @Test func theStartOpensNoData() async throws {
        let medium = try await medium()
        _ = try await History.sink(medium).recover(start)
        let data = History.directory + "/data/"
        #expect(!medium.operations.contains { $0.kind == .open && $0.path.hasPrefix(data) })
    }
}
