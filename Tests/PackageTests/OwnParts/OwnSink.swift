import StreamingContext
import Synchronization

/// A sink of one's own: rows and batches, together or not at all, for as long as the program runs.
nonisolated final class OwnSink: TransactionalSink {
    /// The place: what is left when a sink has ended.
    nonisolated final class Table: Sendable {
        fileprivate struct Contents {
            var batches: [BatchTime: [String]] = [:]
            /// Who writes: the sink that was recovered last.
            var owner = 0
        }

        fileprivate let contents = Mutex(Contents())

        var rows: [String] {
            contents.withLock { contents in
                contents.batches.sorted { $0.key < $1.key }.flatMap { $0.value }
            }
        }
    }

    private struct NotTheOwner: Error {}

    let id: String
    private let table: Table
    private let owner = Mutex<Int?>(nil)

    init(_ table: Table, id: String = "table") {
        self.table = table
        self.id = id
    }

    func recover(slide: Duration) async throws -> CommittedBatches {
        let (batches, number) = table.contents.withLock { contents in
            contents.owner += 1
            return (contents.batches.keys.sorted(), contents.owner)
        }
        owner.withLock { $0 = number }
        return CommittedBatches(batches.map { .init($0, through: $0, step: slide) })
    }

    func prepare(
        _ elements: PartitionChunks<String>, _ task: TaskContext
    ) async throws -> [String] {
        elements.flatMap { Array($0) }
    }

    func commit(_ prepared: [[String]], batch: BatchTime) async throws {
        let own = owner.withLock { $0 }
        try table.contents.withLock { contents in
            guard contents.owner == own else { throw NotTheOwner() }
            if contents.batches[batch] == nil {
                contents.batches[batch] = prepared.flatMap { $0 }
            }
        }
    }

    func discard(_ prepared: [[String]], batch: BatchTime) async {}

    func close() async { owner.withLock { $0 = nil } }
}
