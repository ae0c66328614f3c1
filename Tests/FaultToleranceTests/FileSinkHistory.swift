import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// A life of a file sink: numbered batches, each with elements that tell its number.
enum FileSinkHistory {
    static let directory = "/data/out"

    static func sink(
        _ medium: SimulatedStorageMedium, batchesPerSegment: Int = 2
    ) -> FileSink<String> {
        FileSink<String>(directory: directory, medium: medium, "txt", batchesPerSegment) {
            chunk, bytes in
            for element in chunk { bytes += Array((element + "\n").utf8) }
        }
    }

    static func time(_ number: Int) -> BatchTime { .seconds(Int64(number)) }

    /// The partitions of a batch; every third batch is empty.
    static func partitions(_ number: Int) -> [[String]] {
        if number % 3 == 0 { return [[], []] }
        return [["\(number) a", "\(number) b"], [], ["\(number) c"]]
    }

    static func prepare(
        _ sink: FileSink<String>, _ number: Int
    ) async throws -> [StagedFile?] {
        var prepared: [StagedFile?] = []
        for (partition, elements) in partitions(number).enumerated() {
            let task = TaskContext(
                batchMilliseconds: time(number).milliseconds, partition: partition)
            prepared.append(try await sink.prepare(PartitionChunks(elements), task))
        }
        return prepared
    }

    static func write(_ sink: FileSink<String>, _ number: Int) async throws {
        let prepared = try await prepare(sink, number)
        do {
            try await sink.commit(prepared, batch: time(number))
        } catch {
            await sink.discard(prepared, batch: time(number))
            throw error
        }
    }

    /// What a reader finds, batch by batch, having compared files with what the manifest says.
    static func read(_ medium: SimulatedStorageMedium) async throws -> [Int: [String]] {
        var found: [Int: [String]] = [:]
        for batch in try await FileSink<String>.committedBatches(in: directory, on: medium) {
            var lines: [String] = []
            for file in batch.files {
                let bytes = try medium.readAll(directory + "/" + file.path)
                let text = String(decoding: bytes, as: UTF8.self)
                let own = text.split(separator: "\n").map(String.init)
                #expect(bytes.count == file.byteCount)
                #expect(own.count == file.elementCount)
                #expect(Checksum.crc32c(bytes) == file.checksum)
                lines += own
            }
            found[Int(batch.batch.milliseconds / 1000)] = lines
        }
        return found
    }

    static func expected(_ numbers: some Sequence<Int>) -> [Int: [String]] {
        Dictionary(uniqueKeysWithValues: numbers.map { ($0, Array(partitions($0).joined())) })
    }

    /// The names of data files, also of those that the manifest does not name.
    static func leftovers(_ medium: SimulatedStorageMedium) async throws -> [String] {
        let named = try await FileSink<String>.committedFiles(in: directory, on: medium)
        let data = try medium.list(directory + "/data").map { directory + "/data/" + $0 }
        return try medium.list(directory + "/staged") + data.filter { !named.contains($0) }
    }
}
