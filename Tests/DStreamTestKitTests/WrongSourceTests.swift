import BatchEngine
import DStreamCore
import DStreamTestKit
import Synchronization
import Testing

@Suite("Direct sources are checked", .timeLimit(.minutes(5)))
struct WrongSourceTests {
    @Test("one that keeps its promises passes")
    func right() async throws {
        for count in [5, 3000] as [Int64] {
            let source = Numbers(nil, count: count)
            try await checkDirectSource(source) { source.grow() }
        }
    }

    @Test(
        "wrong ones are noticed",
        arguments: zip(
            Numbers.Fault.allCases,
            [
                "in the order of offsets", "that is read again gives the same records",
                "at most one record per offset", "when not all of the range can be read",
                "not beyond its latest offset", "throws what its body throws",
                "read ends when its body throws", "offsets do not change",
                "follow records that are added", "ends where it ended",
            ]))
    func fault(_ fault: Numbers.Fault, promise: String) async {
        let source = Numbers(fault, count: 10)
        let failure = await failure { try await checkDirectSource(source) { source.grow() } }
        #expect(failure.contains(promise))
    }
}

/// Offsets from 2 on whose records are their numbers, but for every fifth, which has none.
final class Numbers: DirectSource {
    enum Fault: CaseIterable {
        case reversesRecords, changesRecords, doublesRecords, hidesLoss, startsBeyondItsEnd
        case hidesErrors, goesOn, movesOffsets, staysBehind, shrinks
    }
    struct Lost: Error {}

    private let fault: Fault?
    private let count: Mutex<Int64>
    private let hasGrown = Mutex(false)
    private let readings = Mutex(0)
    private let partition = TopicPartition(topic: "t", partition: 0)

    init(_ fault: Fault?, count: Int64) {
        self.fault = fault
        self.count = Mutex(count)
    }

    func grow() {
        hasGrown.withLock { $0 = true }
        if fault == .staysBehind { return }
        count.withLock { $0 += fault == .shrinks ? -1 : 3 }
    }

    func latestOffsets() async throws -> [TopicPartition: Int64] {
        [partition: count.withLock { $0 }]
    }

    func earliestOffsets() async throws -> [TopicPartition: Int64] { [partition: 2] }

    func startingOffset(of partition: TopicPartition) async throws -> Int64 {
        count.withLock { $0 } + (fault == .startsBeyondItsEnd ? 1 : 0)
    }

    func read(_ range: OffsetRange, _ body: (Int64) throws -> Void) throws {
        if range.fromOffset < 2, fault != .hidesLoss { throw Lost() }
        var records = Array(range.fromOffset..<range.untilOffset).filter { $0 % 5 != 0 }
        let number = readings.withLock { number in
            number += 1
            return number
        }
        switch fault {
        case .reversesRecords: records.reverse()
        case .changesRecords where number > 1: records.append(0)
        case .doublesRecords: records += records
        case .movesOffsets where hasGrown.withLock { $0 }: records = records.map { $0 + 1 }
        default: break
        }
        var failure: (any Error)?
        for record in records {
            do { try body(record) } catch {
                if fault != .hidesErrors, fault != .goesOn { throw error }
                failure = error
            }
        }
        if let failure, fault == .goesOn { throw failure }
    }
}
