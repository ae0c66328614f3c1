import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// The code of `Docs/Guides/ExactlyOnceOutputs.md` runs.
@Suite("The guide to exactly-once outputs", .timeLimit(.minutes(5)))
struct SinkGuideTests {
    private struct Reading: Sendable {
        let value: Int32
    }

    private func counts(_ harness: StreamHarness) -> DStream<(String, Int)> {
        harness.input([["a b a"], ["b"]]).flatMap { $0.words() }.map { ($0, 1) }.reduceByKey(+)
    }

    @Test("writes files, and reads what the manifest says")
    func files() async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "guide")
        defer { try? FileSystem.removeTree(directory) }
        let harness = StreamHarness()
        let counts = counts(harness)
        counts.write(to: FileSink(directory + "/counts"))
        let readings = FileSink<Reading>(directory + "/readings", fileExtension: "bin") {
            reading, bytes in
            withUnsafeBytes(of: reading.value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        counts.map { Reading(value: Int32($0.1)) }.write(to: readings)
        try await harness.run(batches: 2)
        #expect(harness.errors.isEmpty, "\(harness.errors)")
        let paths = try await FileSink<(String, Int)>.committedFiles(in: directory + "/counts")
        let lines = try paths.flatMap { path in
            String(decoding: try FileSystem.readAll(path), as: UTF8.self).split(separator: "\n")
        }
        #expect(lines.sorted() == ["(a,2)", "(b,1)", "(b,1)"])
        let bytes = try await FileSink<Reading>.committedBatches(in: directory + "/readings")
            .flatMap(\.files).map(\.byteCount).reduce(0, +)
        #expect(bytes == 12)
    }

    @Test("checks a sink of one's own")
    func own() async throws {
        let tables = Tables()
        try await checkTransactionalSink(elements: ["a", "b", "c", "d", "e"]) { place in
            TableSink(tables, name: "place \(place)")
        } read: { place in
            tables.rows(of: "place \(place)")
        }
    }

    private func putKeyed(_ counts: DStream<(String, Int)>, _ store: KeyedStore) {
        counts.foreachPartition { chunks, task in
            guard let batch = task.batchTime else { return }
            var number = 0
            for chunk in chunks {
                for (word, count) in chunk {
                    // The key names the element: written again, it replaces itself.
                    let key = "\(batch.milliseconds)/\(task.partition)/\(number)"
                    store.put(key, "\(word): \(count)")
                    number += 1
                }
            }
        }
    }

    @Test("gives elements keys that stay the same")
    func keys() async throws {
        let store = KeyedStore()
        for _ in 0..<2 {
            let harness = StreamHarness()
            let counts = counts(harness)
            putKeyed(counts, store)
            try await harness.run(batches: 2)
        }
        #expect(store.values.sorted() == ["a: 2", "b: 1", "b: 1"])
    }
}

/// A store in which a key has one value.
private final class KeyedStore: Sendable {
    private let table = Locked<[String: String]>([:])

    var values: [String] { table.withLock { Array($0.values) } }

    func put(_ key: String, _ value: String) { table.withLock { $0[key] = value } }
}

/// Somebody else's store: rows and batches of named outputs, changed together.
private final class Tables: Sendable {
    struct Table: Sendable {
        var rows: [String] = []
        var committed = CommittedBatches()
        var owner = 0
    }

    let tables = Locked<[String: Table]>([:])

    func rows(of name: String) -> [String] { tables.withLock { $0[name]?.rows ?? [] } }
}

/// A sink into them.
private final class TableSink: TransactionalSink {
    let id: String
    private let tables: Tables
    private let opening = Locked<(owner: Int, slide: Duration)?>(nil)

    init(_ tables: Tables, name: String) {
        self.tables = tables
        id = name
    }

    func recover(slide: Duration) async throws -> CommittedBatches {
        let table = tables.tables.withLock { tables in
            tables[id, default: Tables.Table()].owner += 1
            return tables[id] ?? Tables.Table()
        }
        opening.withLock { $0 = (table.owner, slide) }
        return table.committed
    }

    func prepare(
        _ elements: PartitionChunks<String>, _ task: TaskContext
    ) async throws -> [String] { Array(elements.joined()) }

    func commit(_ prepared: [[String]], batch: BatchTime) async throws {
        guard let opening = opening.withLock({ $0 }) else {
            throw SinkError(.closed, sink: id, batch: batch, "it is closed")
        }
        try tables.tables.withLock { tables in
            var table = tables[id] ?? Tables.Table()
            guard table.owner == opening.owner else {
                throw SinkError(.locked, sink: id, batch: batch, "another program has it")
            }
            guard !table.committed.contains(batch) else { return }
            table.rows += prepared.joined()
            table.committed.insert(batch, step: opening.slide)
            tables[id] = table
        }
    }

    func close() async { opening.withLock { $0 = nil } }
}
