import BatchEngine
import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Synchronization
import Testing

@Suite("Allocators and rate controllers are checked", .timeLimit(.minutes(5)))
struct WrongAllocatorTests {
    @Test("right ones keep their promises")
    func right() async throws {
        try await checkBlockAllocator({ WrongAllocator(nil) }) { $0.add($1) }
        try await checkRateController({ WrongController(nil) }) { $0.rate(of: $1) }
    }

    @Test(
        "wrong allocators are noticed",
        arguments: zip(
            WrongAllocator.Fault.allCases,
            [
                "as they were received", "at or before the last one is ignored",
                "belongs to one batch", "released batches are forgotten", "that no batch has",
            ]))
    func allocator(_ fault: WrongAllocator.Fault, promise: String) async {
        let failure = await failure {
            try await checkBlockAllocator({ WrongAllocator(fault) }) { $0.add($1) }
        }
        #expect(failure.contains(promise))
    }

    @Test(
        "wrong controllers are noticed",
        arguments: zip(
            WrongController.Fault.allCases, ["of its stream alone", "last rate wins", "is ignored"]
        ))
    func controller(_ fault: WrongController.Fault, promise: String) async {
        let failure = await failure {
            try await checkRateController({ WrongController(fault) }) { $0.rate(of: $1) }
        }
        #expect(failure.contains(promise))
    }
}

final class WrongAllocator: BlockAllocator {
    enum Fault: CaseIterable { case reverses, takesOldBatches, givesTwice, keepsAll, saysNothing }
    private struct State {
        var waiting: [StoredBlock] = []
        var batches: [BatchTime: [StoredBlock]] = [:]
        var last: BatchTime?
    }

    private let fault: Fault?
    private let state = Locked(State())

    init(_ fault: Fault?) { self.fault = fault }

    func add(_ block: StoredBlock) { state.withLock { $0.waiting.append(block) } }

    func allocateBlocks(to batch: BatchTime) async throws {
        state.withLock { state in
            if fault != .takesOldBatches, let last = state.last, batch <= last { return }
            state.last = batch
            state.batches[batch] =
                fault == .reverses ? state.waiting.reversed() : state.waiting
            if fault == .givesTwice {
                state.waiting = Array(state.waiting.suffix(1))
            } else {
                state.waiting = []
            }
        }
    }

    func blocks(allocatedTo batch: BatchTime, stream: StreamID) async -> [StoredBlock] {
        state.withLock { ($0.batches[batch] ?? []).filter { $0.streamID == stream } }
    }

    func releaseBatches(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws {
        if fault == .keepsAll { return }
        state.withLock { state in state.batches = state.batches.filter { $0.key >= threshold } }
    }

    var hasUnallocatedBlocks: Bool {
        get async {
            if fault == .saysNothing || fault == .givesTwice {
                return fault == .givesTwice && state.withLock { $0.waiting.count > 1 }
            }
            return state.withLock { !$0.waiting.isEmpty }
        }
    }
}

final class WrongController: RateController {
    enum Fault: CaseIterable { case mixesStreams, takesTheLowest, takesAll }

    private let fault: Fault?
    private let rates = Locked<[StreamID: Double]>([:])

    init(_ fault: Fault?) { self.fault = fault }

    func updateRate(_ elementsPerSecond: Double, of stream: StreamID) async {
        guard elementsPerSecond > 0 || fault == .takesAll else { return }
        let stream = fault == .mixesStreams ? StreamID(0) : stream
        rates.withLock { rates in
            if fault == .takesTheLowest, let rate = rates[stream], rate < elementsPerSecond {
                return
            }
            rates[stream] = elementsPerSecond
        }
    }

    func rate(of stream: StreamID) -> Double? {
        rates.withLock { $0[fault == .mixesStreams ? StreamID(0) : stream] }
    }
}
