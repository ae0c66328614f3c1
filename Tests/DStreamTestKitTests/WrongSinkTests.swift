import BatchEngine
import DStreamCore
import DStreamTestKit
import Synchronization
import Testing

@Suite("Wrong sinks are noticed", .timeLimit(.minutes(5)))
struct WrongSinkTests {
    @Test(
        arguments: zip(
            WrongSink.Fault.allCases,
            [
                "leaves the note that the batch is committed",
                "after the late discard of a try of it",
                "a batch that is committed is left as it is",
                "recovery tells the committed batches",
                "of two programs on one sink one is refused",
                "each place has an id of its own", "a closed sink refuses commits",
            ]))
    func fault(_ fault: WrongSink.Fault, promise: String) async {
        let tables = WrongSink.Tables()
        let failure = await failure {
            try await checkTransactionalSink(elements: ["a", "b", "c", "d", "e"]) { place in
                WrongSink(fault, tables, place: place)
            } read: { place in
                tables.all.withLock { $0["place \(place)"]?.rows ?? [] }
            }
        }
        #expect(failure.contains(promise))
    }
}

/// A sink into tables, which outlive it.
final class WrongSink: TransactionalSink {
    enum Fault: CaseIterable {
        case discardsMarks, discardsDurableMarks, commitsTwice, forgetsMarks, ignoresOwners
        case hasOneName, neverCloses
    }
    struct Table: Sendable {
        var rows: [String] = []
        var committed = Set<BatchTime>()
        var owner = 0
    }
    final class Tables: Sendable {
        let all = Locked<[String: Table]>([:])
    }
    struct Refused: Error {}

    private let fault: Fault
    private let tables: Tables
    private let place: String
    private let opening = Locked<(owner: Int, slide: Duration, held: Set<BatchTime>)?>(nil)
    let id: String

    init(_ fault: Fault, _ tables: Tables, place: Int) {
        self.fault = fault
        self.tables = tables
        self.place = "place \(place)"
        id = fault == .hasOneName ? "sink" : self.place
    }

    func recover(slide: Duration) async throws -> CommittedBatches {
        let table = tables.all.withLock { tables in
            tables[place, default: Table()].owner += 1
            if fault == .forgetsMarks { tables[place]?.committed = [] }
            return tables[place] ?? Table()
        }
        opening.withLock { $0 = (table.owner, slide, table.committed) }
        return CommittedBatches(
            table.committed.map { CommittedBatches.Range($0, through: $0, step: slide) })
    }

    func prepare(
        _ elements: PartitionChunks<String>, _ task: TaskContext
    ) async throws -> [String] { Array(elements.joined()) }

    func commit(_ prepared: [[String]], batch: BatchTime) async throws {
        guard let opening = opening.withLock({ $0 }) else {
            if fault == .neverCloses { return }
            throw Refused()
        }
        if opening.held.contains(batch), fault != .commitsTwice { return }
        try tables.all.withLock { tables in
            var table = tables[place] ?? Table()
            guard table.owner == opening.owner || fault == .ignoresOwners else { throw Refused() }
            table.rows += prepared.joined()
            table.committed.insert(batch)
            tables[place] = table
        }
        self.opening.withLock { _ = $0?.held.insert(batch) }
    }

    func discard(_ prepared: [[String]], batch: BatchTime) async {
        if fault == .discardsMarks { opening.withLock { _ = $0?.held.remove(batch) } }
        if fault == .discardsDurableMarks {
            tables.all.withLock { _ = $0[place]?.committed.remove(batch) }
        }
    }

    func close() async { opening.withLock { $0 = nil } }
}
