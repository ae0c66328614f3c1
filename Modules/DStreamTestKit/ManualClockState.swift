internal import DStreamCore

/// What a manual clock knows, and all its decisions; it never resumes anybody itself.
struct ManualClockState {
    /// What the clock has to do once it has left the lock.
    enum Action {
        case wake(CheckedContinuation<Void, any Error>)
        case cancel(CheckedContinuation<Void, any Error>)
        case endWait(CheckedContinuation<Void, Never>)
    }

    struct Sleeper {
        let id: Int
        let deadline: Duration
        let continuation: CheckedContinuation<Void, any Error>
    }

    /// What somebody waits for.
    enum Wanted {
        /// So many sleeps at once.
        case count(Int)
        /// A sleep until so far since the clock's creation.
        case deadline(Duration)
    }

    struct Waiter {
        let id: Int
        let wanted: Wanted
        let continuation: CheckedContinuation<Void, Never>
    }

    let start: BatchTime
    private(set) var elapsed = Duration.zero
    /// By how much the time of day is ahead of `now`.
    var wallOffset = Duration.zero
    /// In the order of deadline, then of registration.
    private(set) var sleepers: [Sleeper] = []
    private(set) var waiters: [Waiter] = []
    var isFinished = false

    private var lastID = 0
    /// Announced by `makeID`, neither registered nor cancelled yet.
    private var announced: Set<Int> = []

    init(start: BatchTime) {
        self.start = start
    }

    var now: BatchTime { start + elapsed }

    var earliestDeadline: BatchTime? {
        sleepers.first.map { time(of: $0.deadline) }
    }

    /// The first whole millisecond at which a deadline has come.
    func time(of deadline: Duration) -> BatchTime {
        let floored = start + deadline
        return floored - start < deadline ? floored + .milliseconds(1) : floored
    }

    mutating func makeID() -> Int {
        lastID += 1
        announced.insert(lastID)
        return lastID
    }

    mutating func beginSleep(
        _ id: Int, until deadline: Duration, _ continuation: CheckedContinuation<Void, any Error>
    ) -> [Action] {
        // No longer announced: the task was cancelled before it came here.
        guard announced.remove(id) != nil, !isFinished else { return [.cancel(continuation)] }
        if deadline <= elapsed { return [.wake(continuation)] }
        // Before the first later deadline, so behind all equal ones.
        let index = sleepers.firstIndex { $0.deadline > deadline } ?? sleepers.endIndex
        sleepers.insert(
            Sleeper(id: id, deadline: deadline, continuation: continuation), at: index)
        return takeSatisfiedWaiters()
    }

    mutating func beginWait(
        _ id: Int, for wanted: Wanted, _ continuation: CheckedContinuation<Void, Never>
    ) -> [Action] {
        guard announced.remove(id) != nil else { return [.endWait(continuation)] }
        if isMet(wanted) { return [.endWait(continuation)] }
        waiters.append(Waiter(id: id, wanted: wanted, continuation: continuation))
        return []
    }

    mutating func cancel(_ id: Int) -> [Action] {
        if announced.remove(id) != nil { return [] }
        if let index = sleepers.firstIndex(where: { $0.id == id }) {
            return [.cancel(sleepers.remove(at: index).continuation)]
        }
        if let index = waiters.firstIndex(where: { $0.id == id }) {
            return [.endWait(waiters.remove(at: index).continuation)]
        }
        // It has been woken already and the cancellation came too late to matter.
        return []
    }

    mutating func move(to newElapsed: Duration) -> [Action] {
        elapsed = newElapsed
        let due = sleepers.prefix { $0.deadline <= newElapsed }
        sleepers.removeFirst(due.count)
        return due.map { .wake($0.continuation) }
    }

    private mutating func takeSatisfiedWaiters() -> [Action] {
        let satisfied = waiters.filter { isMet($0.wanted) }
        waiters = waiters.filter { !isMet($0.wanted) }
        return satisfied.map { .endWait($0.continuation) }
    }

    private func isMet(_ wanted: Wanted) -> Bool {
        switch wanted {
        case .count(let count): sleepers.count >= count
        case .deadline(let deadline): sleepers.contains { $0.deadline == deadline }
        }
    }
}
