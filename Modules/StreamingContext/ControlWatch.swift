internal import BatchEngine
package import DStreamCore
internal import Synchronization

/// Tells whether the control plane of a context moves.
///
/// A token goes through all its loops, one after the other, once per look. Where it stays for five
/// seconds, a line is logged, and one when it goes on.
///
/// ## Isolation
/// ``look()`` never suspends and is called by a thread that does nothing else; ``run()`` carries the
/// token, on the pool.
package final class ControlWatch: Sendable {
    /// One of the loops that the token passes.
    package struct Station: Sendable {
        let name: String
        let pass: @Sendable () async -> Void

        /// Names a loop.
        package init(_ name: String, pass: @escaping @Sendable () async -> Void) {
            self.name = name
            self.pass = pass
        }
    }

    /// A place where the token is or was for too long.
    private struct Stall {
        let station: Int
        let duration: Duration
    }

    private struct State {
        /// The station that the token is to pass next; nil: it waits for the next round.
        var station: Int?
        var since = Duration.zero
        /// How often it was found there: one long jump of the clock is no stall.
        var looks = 0
        var isReported = false
        /// Reported stalls that are over.
        var ended: [Stall] = []
    }

    private enum Finding {
        case stalled(Stall)
        case ended(Stall)
    }

    /// After how long, and how many looks, a loop has stalled.
    private static let limit = (duration: Duration.seconds(5), looks: 5)
    private static let pool = "the pool of threads that all tasks share"

    private let appName: String
    private let clock: any StreamClock
    private let logger: any DiagnosticLogger
    /// What user code the control plane is calling, in words; nil: none.
    private let activity: @Sendable () -> String?
    private let stations: [Station]
    private let rounds = Mailbox<Void>(capacity: 1)
    private let state = Locked(State())

    /// Watches some loops, besides the pool itself.
    package init(
        appName: String, clock: any StreamClock, logger: any DiagnosticLogger,
        activity: @escaping @Sendable () -> String?, _ stations: [Station]
    ) {
        self.appName = appName
        self.clock = clock
        self.logger = logger
        self.activity = activity
        self.stations = stations
    }

    /// Carries the token until the task is cancelled.
    package func run() async {
        while await rounds.next() != nil {
            PoolThreads.note()
            for (number, station) in stations.enumerated() {
                move(to: number + 1)
                await station.pass()
                PoolThreads.note()
            }
            move(to: nil)
        }
    }

    /// Starts a round, or looks how long the token has been where it is, and reports what has changed.
    package func look() {
        let now = clock.monotonicNow
        var findings: [Finding] = []
        let isNewRound = state.withLock { state in
            findings = state.ended.map { .ended($0) }
            state.ended = []
            guard let station = state.station else {
                state.station = 0
                state.since = now
                state.looks = 0
                return true
            }
            state.looks += 1
            let stall = Stall(station: station, duration: now - state.since)
            if !state.isReported, state.looks >= Self.limit.looks,
                stall.duration >= Self.limit.duration
            {
                state.isReported = true
                findings.append(.stalled(stall))
            }
            return false
        }
        for finding in findings { report(finding) }
        if isNewRound { rounds.postCoalescing(()) }
    }

    private func move(to station: Int?) {
        let now = clock.monotonicNow
        state.withLock { state in
            if state.isReported, let stalled = state.station {
                state.ended.append(Stall(station: stalled, duration: now - state.since))
            }
            state.isReported = false
            state.station = station
            state.since = now
            state.looks = 0
        }
    }

    private func report(_ finding: Finding) {
        switch finding {
        case .stalled(let stall):
            let what = stall.station == 0 ? poolText : "It was called and has not answered"
            let during = activity().map { ", during \($0)" } ?? ""
            logger.log(
                level: .warning,
                "\(appName): \(name(stall.station)) has not moved for "
                    + "\(stall.duration.milliseconds / 1000) s\(during). \(what)")
        case .ended(let stall):
            logger.log(
                level: .warning,
                "\(appName): \(name(stall.station)) moves again, after "
                    + "\(stall.duration.milliseconds / 1000) s")
        }
    }

    private func name(_ station: Int) -> String {
        station == 0 ? Self.pool : stations[station - 1].name
    }

    /// What runs on the pool, as far as the system says.
    private var poolText: String {
        let threads = PoolThreads.descriptions
        let known = threads.isEmpty ? "" : ": " + threads.joined(separator: ", ")
        return
            "Code that blocks holds its \(ResourceUsage.coreCount()) threads\(known). Run what blocks "
            + "on threads of its own, in a receiver or in an output operation"
    }
}
