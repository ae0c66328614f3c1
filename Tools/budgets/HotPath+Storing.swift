import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import ReceiverRuntime
import StreamingContext
import Synchronization

extension HotPath {
    /// From receivers into blocks, and from blocks onto the disk.
    static let storing = [
        receiving("store-element") { output, count in
            for number in 0..<count { try await output.store(number) }
        },
        receiving("store-array") { output, count in
            try await output.store(contentsOf: Array(0..<count))
        },
        // A record of ten bytes per element.
        HotPath("log-append") { count in
            let log = try await FileWriteAheadLog.open(try folder.get() + "/log-\(count)")
            let record = [UInt8](repeating: 7, count: 10 * count)
            return { _ = try await log.write(record, time: .zero) }
        },
    ]

    /// Where the log is; the program removes it in the end.
    static let folder = Result { try FileSystem.createTemporaryDirectory(prefix: "budgets-") }

    /// Stores into a receiver's blocks, and has a batch take them.
    private static func receiving(
        _ name: String,
        _ store: @escaping @Sendable (ReceiverOutput<Int>, Int) async throws -> Void
    ) -> HotPath {
        HotPath(name) { count in
            let harness = StreamHarness(engine: .local(slots: 1))
            let feed = FeedReceiver<Int>()
            let counted = Locked(0)
            harness.ssc.receiverStream(feed).foreachRDD { rdd in
                let count = try await rdd.count()
                counted.withLock { $0 = count }
            }
            try await harness.ssc.start()
            let output = try await feed.output()
            return {
                try await store(output, count)
                try await harness.advance()
                let counted = counted.withLock { $0 }
                guard counted == count else { throw BudgetError("\(counted) arrived") }
            }
        }
    }
}
