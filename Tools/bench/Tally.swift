import BatchEngine
import Synchronization

/// Sums what the output operations saw, and lets the driver wait for it.
final class Tally: Sendable {
    struct Sums {
        var checksum: UInt64 = 0
        var words = 0
        var batches = 0
        var lastOutput = Duration.zero
    }
    private struct State {
        var sums = Sums()
        var waiter: (batches: Int, words: Int, continuation: CheckedContinuation<Void, Never>)?
    }

    private let state = Mutex(State())

    var sums: Sums { state.withLock { $0.sums } }

    /// Adds the rows of one partition.
    func add(_ partition: PartitionChunks<(String, Int)>) {
        var checksum: UInt64 = 0
        var words = 0
        for chunk in partition {
            for (word, count) in chunk {
                checksum &+= UInt64(CRC32.of(word)) &* UInt64(count)
                words += count
            }
        }
        let now = SystemTime.wall()
        let ready = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.sums.checksum &+= checksum
            state.sums.words += words
            if words > 0 { state.sums.lastOutput = now }
            return Self.takeReady(&state)
        }
        ready?.resume()
    }

    /// Notes that a batch with content has been put out.
    func endBatch() {
        let ready = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.sums.batches += 1
            return Self.takeReady(&state)
        }
        ready?.resume()
    }

    /// Waits until so many batches and words were seen.
    func reached(batches: Int = 0, words: Int = 0) async {
        await withCheckedContinuation { continuation in
            let ready = state.withLock { state -> CheckedContinuation<Void, Never>? in
                state.waiter = (batches, words, continuation)
                return Self.takeReady(&state)
            }
            ready?.resume()
        }
    }

    /// Starts again from nothing.
    func reset() { state.withLock { $0.sums = Sums() } }

    private static func takeReady(_ state: inout State) -> CheckedContinuation<Void, Never>? {
        guard let waiter = state.waiter, state.sums.batches >= waiter.batches,
            state.sums.words >= waiter.words
        else { return nil }
        state.waiter = nil
        return waiter.continuation
    }
}

/// The checksum of zlib and of the IEEE 802.3 standard, polynomial 0xEDB88320.
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in
            value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1
        }
    }

    static func of(_ text: String) -> UInt32 {
        var text = text
        return text.withUTF8 { bytes in
            table.withUnsafeBufferPointer { table in
                var value: UInt32 = 0xFFFF_FFFF
                for byte in bytes {
                    value = table[Int((value ^ UInt32(byte)) & 0xFF)] ^ (value >> 8)
                }
                return value ^ 0xFFFF_FFFF
            }
        }
    }
}

/// A span of CPU time and wall time.
struct Stopwatch {
    private let cpu = ResourceUsage.cpuTime()
    private let wall = SystemTime.wall()

    var cpuSeconds: Double { (ResourceUsage.cpuTime() - cpu) / .seconds(1) }
    var startWall: Duration { wall }
}
