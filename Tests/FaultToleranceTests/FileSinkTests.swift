import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct FileSinkTests {
    private typealias History = FileSinkHistory

    @Test func aFileSinkKeepsThePromisesOfSinks() async throws {
        let medium = SimulatedStorageMedium()
        try await checkTransactionalSink(elements: ["a", "b", "c", "d", "e"]) { place in
            FileSink<String>("/out/\(place)", on: medium)
        } read: { place in
            try await lines(in: "/out/\(place)", on: medium)
        }
    }

    @Test func andSoItDoesOnADisk() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "sink")
        defer { try? FileSystem.removeTree(directory) }
        try await checkTransactionalSink(elements: [1, 2, 3, 4, 5]) { place in
            FileSink<Int>("\(directory)/\(place)")
        } read: { place in
            try await lines(in: "\(directory)/\(place)", on: FileStorageMedium())
                .compactMap { Int($0) }
        }
    }

    private func lines(in directory: String, on medium: some StorageMedium) async throws
        -> [String]
    {
        var lines: [String] = []
        for path in try await FileSink<String>.committedFiles(in: directory, on: medium) {
            let text = String(decoding: try medium.readAll(path), as: UTF8.self)
            lines += text.split(separator: "\n").map(String.init)
        }
        return lines
    }

    @Test func elementsAreEncodedAsTheUserSays() async throws {
        let medium = SimulatedStorageMedium()
        let sink = FileSink<UInt8>("/out", on: medium, fileExtension: "b/in.x") { element, bytes in
            bytes.append(element)
        }
        _ = try await sink.recover(slide: .seconds(1))
        let task = TaskContext(batchMilliseconds: -3000, partition: 7)
        let prepared = try await sink.prepare(PartitionChunks([1, 2, 255]), task)
        try await sink.commit([prepared], batch: .seconds(-3))
        #expect(medium.contents(of: "/out/data/-3000-00007-1.bin.x") == [1, 2, 255])
        #expect(
            try await FileSink<UInt8>.committedFiles(in: "/out", on: medium)
                == ["/out/data/-3000-00007-1.bin.x"])
    }

    @Test func anEmptyPathIsNotTheRoot() async throws {
        let medium = SimulatedStorageMedium()
        let sink = FileSink<Int>("", on: medium)
        await #expect { _ = try await sink.recover(slide: .seconds(1)) } throws: {
            ($0 as? SinkError)?.code == .misused
        }
        #expect(try medium.list("/").isEmpty)
    }

    @Test func aTaskThatFailsLeavesNothing() async throws {
        struct Boom: Error {}
        let medium = SimulatedStorageMedium()
        let sink = FileSink<Int>("/out", on: medium, fileExtension: "x") { element, bytes in
            if element == 3 { throw Boom() }
            bytes += [UInt8](repeating: 1, count: 100_000)
        }
        _ = try await sink.recover(slide: .seconds(1))
        await #expect(throws: Boom.self) {
            _ = try await sink.prepare(
                PartitionChunks([Int](repeating: 1, count: 2000) + [3]),
                TaskContext(batchMilliseconds: 0, partition: 0))
        }
        #expect(try medium.list("/out/staged") == [])
    }

    @Test func theManifestHasFewFilesHoweverManyBatches() async throws {
        let medium = SimulatedStorageMedium()
        let sink = History.sink(medium, batchesPerSegment: 10)
        _ = try await sink.recover(slide: .seconds(1))
        for number in 1...99 { try await History.write(sink, number) }
        let names = try medium.list(History.directory + "/manifest")
        #expect(names.count { $0.hasPrefix("segment-") } == 8)
        #expect(names.count { $0.hasPrefix("batch-") } == 19)
        // What is written for a batch does not grow with those before it.
        let before = medium.operations.filter { $0.kind == .append }.map(\.byteCount).reduce(0, +)
        for number in 100...119 { try await History.write(sink, number) }
        let after = medium.operations.filter { $0.kind == .append }.map(\.byteCount).reduce(0, +)
        #expect((after - before) / 20 <= before / 99 * 3 / 2)
        #expect(try await History.read(medium) == History.expected(1...119))
        await sink.close()
        let again = History.sink(medium.restarted())
        #expect(
            try await again.recover(slide: .seconds(1)).ranges == [
                CommittedBatches.Range(.seconds(1), through: .seconds(119), step: .seconds(1))
            ])
    }

    @Test func whoeverReadsWhileASegmentIsMadeMissesNothing() async throws {
        let medium = SimulatedStorageMedium()
        let sink = History.sink(medium, batchesPerSegment: 3)
        _ = try await sink.recover(slide: .seconds(1))
        for number in 1...5 { try await History.write(sink, number) }
        // Between each two operations of the commit that makes the segment.
        let reader = Locked<[[Int]]>([])
        let isReading = Locked(false)
        medium.observe { _ in
            let isOwn = isReading.withLock { reading in
                defer { reading = true }
                return reading
            }
            if isOwn { return }
            defer { isReading.withLock { $0 = false } }
            let found = (try? committedNumbers(medium)) ?? []
            reader.withLock { $0.append(found) }
        }
        try await History.write(sink, 6)
        medium.observe(nil)
        let seen = reader.withLock { $0 }
        #expect(seen.count > 8)
        #expect(seen.allSatisfy { $0 == Array(1...5) || $0 == Array(1...6) }, "\(seen)")
    }

    /// A name that leads nowhere is told; it was sought for ever.
    @Test func aNameThatLeadsNowhereEndsTheReading() async throws {
        let medium = SimulatedStorageMedium()
        let sink = History.sink(medium)
        _ = try await sink.recover(slide: .seconds(1))
        try await History.write(sink, 1)
        medium.fail { $0.kind == .open && $0.path.hasSuffix("batch-1000") ? .notFound : nil }
        let error = #expect(throws: StorageError.self) { try committedNumbers(medium) }
        #expect(error?.code == .notFound)
    }

    /// Files called almost as those of the manifest are none of them.
    @Test func strangersInTheManifestAreLeftAlone() async throws {
        let medium = SimulatedStorageMedium()
        let sink = History.sink(medium, batchesPerSegment: 2)
        _ = try await sink.recover(slide: .seconds(1))
        for number in 1...4 { try await History.write(sink, number) }
        await sink.close()
        let manifest = History.directory + "/manifest/"
        let segment = try #require(medium.contents(of: manifest + "segment-000000001"))
        for name in ["segment-9223372036854775807", "segment-7", "batch-+5000", "batch-05"] {
            medium.setContents(of: manifest + name, to: segment)
        }
        let again = History.sink(medium, batchesPerSegment: 2)
        _ = try await again.recover(slide: .seconds(1))
        for number in 5...9 { try await History.write(again, number) }
        #expect(try committedNumbers(medium) == Array(1...9))
    }

    private func committedNumbers(_ medium: SimulatedStorageMedium) throws -> [Int] {
        try FileSinkLayout(directory: History.directory).committed(on: medium)
            .map { Int($0.batch.milliseconds / 1000) }
    }

    @Test func aSecondSinkOnTheDirectoryIsRefused() async throws {
        let medium = SimulatedStorageMedium()
        let first = History.sink(medium)
        _ = try await first.recover(slide: .seconds(1))
        let error = try await #require(throws: SinkError.self) {
            _ = try await History.sink(medium).recover(slide: .seconds(1))
        }
        #expect(error.code == .locked)
        #expect("\(error)".contains("process"), "\(error)")
    }
}

/// The page on the format says what the sink writes, and what was once written stays readable.
@Suite(.timeLimit(.minutes(5))) struct FileSinkFormatTests {
    private var batches: [CommittedFiles] {
        get throws {
            try FileSinkManifest.read(
                try RepositoryFile("Tests/Fixtures/file-sink-v1/segment-000000001").bytes,
                path: "x", sink: "x")
        }
    }

    @Test func theFirstVersionIsReadAndWrittenTheSame() throws {
        let file = try RepositoryFile("Tests/Fixtures/file-sink-v1/segment-000000001").bytes
        let read = try batches
        #expect(read.map(\.batch) == [.seconds(1), .seconds(2), .seconds(4), .milliseconds(-500)])
        #expect(read.map(\.files.count) == [2, 0, 1, 0])
        #expect(read[0].files[1].path == "data/1000-00002-2.txt")
        #expect(read[0].files[1].elementCount == 1)
        #expect(FileSinkManifest(read, step: .seconds(1)).bytes == file)
        #expect(
            try FileSinkManifest.readRanges(file, path: "x", sink: "x").map(\.first)
                == [.milliseconds(-500), .seconds(1), .seconds(4)])
        let page = try RepositoryFile("Docs/Formats/FileSink.md").text
        #expect(page.contains("```\n" + String(decoding: file, as: UTF8.self) + "```"))
    }

    @Test func damageAnywhereIsFound() throws {
        let file = try RepositoryFile("Tests/Fixtures/file-sink-v1/segment-000000001").bytes
        for index in file.indices {
            var damaged = file
            damaged[index] ^= 1
            // A newer version is one, too.
            let error = try #require(throws: SinkError.self) {
                _ = try FileSinkManifest.read(damaged, path: "the path", sink: "s")
            }
            #expect([.damaged, .unsupported].contains(error.code))
            #expect("\(error)".contains("the path"))
            #expect(throws: SinkError.self) {
                _ = try FileSinkManifest.read(Array(file[..<index]), path: "x", sink: "s")
            }
        }
        #expect(throws: SinkError.self) {
            _ = try FileSinkManifest.read(file + [10], path: "x", sink: "s")
        }
    }

    @Test func aDamagedManifestStopsTheStart() async throws {
        let medium = SimulatedStorageMedium()
        let sink = FileSinkHistory.sink(medium)
        _ = try await sink.recover(slide: .seconds(1))
        try await FileSinkHistory.write(sink, 1)
        await sink.close()
        let path = FileSinkHistory.directory + "/manifest/batch-1000"
        var bytes = try #require(medium.contents(of: path))
        bytes[40] ^= 4
        medium.setContents(of: path, to: bytes)
        let error = try await #require(throws: SinkError.self) {
            _ = try await FileSinkHistory.sink(medium).recover(slide: .seconds(1))
        }
        #expect(error.code == .damaged)
        #expect("\(error)".contains(path))
        // Nothing was taken for a leftover.
        #expect(try medium.list(FileSinkHistory.directory + "/data").count == 2)
    }
}
