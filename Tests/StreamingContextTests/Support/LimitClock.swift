import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import Synchronization

/// A manual clock that tells when a rate limit has somebody wait: limits alone sleep by the steady
/// clock while all goes well.
final class LimitClock: StreamClock {
    let manual: ManualClock
    private let limits = AsyncMonitor<[Duration]>([])

    init(now: BatchTime = .zero) { manual = ManualClock(now: now) }

    var now: BatchTime { manual.now }
    var monotonicNow: Duration { manual.monotonicNow }

    func sleep(until deadline: BatchTime) async throws { try await manual.sleep(until: deadline) }

    func sleep(untilMonotonic deadline: Duration) async throws {
        limits.update { $0.append(deadline) }
        defer {
            limits.update { limits in
                if let index = limits.firstIndex(of: deadline) { limits.remove(at: index) }
            }
        }
        try await manual.sleep(untilMonotonic: deadline)
    }

    /// The earliest time, in whole milliseconds, to which a limit has somebody wait, once so many do.
    func nextLimit(of count: Int = 1) async throws -> BatchTime {
        let (now, elapsed) = (manual.now, manual.monotonicNow)
        let next = try await limits.wait { deadlines in
            let waiting = deadlines.filter { $0 > elapsed }
            return waiting.count >= count ? waiting.min() : nil
        }
        return now + .milliseconds(Int64(((next - elapsed) / .milliseconds(1)).rounded(.up)))
    }
}
