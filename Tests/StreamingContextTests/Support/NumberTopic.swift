import BatchEngine
import DStreamCore
import Synchronization

/// A topic of one partition whose records are their offsets.
final class NumberTopic: DirectSource {
    private let end = Locked<Int64>(0)

    func grow(by count: Int64) { end.withLock { $0 += count } }

    func latestOffsets() async throws -> [TopicPartition: Int64] {
        [TopicPartition(topic: "t", partition: 0): end.withLock { $0 }]
    }

    func startingOffset(of partition: TopicPartition) async throws -> Int64 { 0 }

    func read(_ range: OffsetRange, _ body: (Int64) throws -> Void) throws {
        for offset in range.fromOffset..<range.untilOffset { try body(offset) }
    }
}
