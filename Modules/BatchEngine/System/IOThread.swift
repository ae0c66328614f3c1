internal import CPoll
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One thread that waits for all sockets with `poll`, and on which tasks may run.
///
/// A task started with this executor preference (`Task(executorPreference: .shared)`) receives on the
/// polling thread itself: waiting for the next bytes then costs a `poll` and no change of thread.
/// Such tasks must never block. See `Docs/Decisions/0004-poll.md`.
///
/// ## Cancellation
/// Every wait ends at once with `CancellationError` when its task is cancelled, before or while
/// waiting.
package final class IOThread: TaskExecutor {
    /// The instance of this program; its thread starts with the first use.
    package static let shared = IOThread(name: "io")

    /// What a task waits for on a descriptor.
    package enum Interest: Sendable {
        /// Bytes, a connection or the end can be read.
        case readable
        /// Bytes can be written, or the connection attempt has ended.
        case writable
    }

    private struct Entry {
        let wait: IOWait
        let descriptor: Int32
        let events: Int16
        let deadline: Duration?
    }

    private struct State {
        var entries: [Entry] = []
        var jobs: [UnownedJob] = []
        var phase = Phase.notStarted
        var isAsleep = false
        var wakeReader: Int32 = -1
        var wakeWriter: Int32 = -1
    }

    private enum Phase {
        /// No thread yet. Can transition to: running, ended.
        case notStarted
        /// The thread polls. Can transition to: ended.
        case running
        /// Shut down: every wait fails at once.
        case ended
    }

    private let name: String
    private let startThread: SystemThread.Start
    private let state = Locked(State())

    /// Creates an instance; its thread starts with the first use and ends with `shutdown()`.
    ///
    /// - Parameter start: starts the thread; tests give one that fails.
    package init(name: String, start: @escaping SystemThread.Start = IOThread.start) {
        self.name = name
        startThread = start
    }

    package static let start: SystemThread.Start = { name, body throws(SystemError) in
        try SystemThread.start(name: name, body: body)
    }

    /// Ends the thread after the work at hand; waits end with an error that says so.
    ///
    /// - Precondition: No task runs with this instance as its executor preference.
    package func shutdown() {
        let waits = state.withLock { state in
            let waits = state.entries.map(\.wait)
            state.entries = []
            state.phase = .ended
            wakeIfAsleep(&state)
            return waits
        }
        for wait in waits { wait.finish(.failure(Self.endedError)) }
    }

    /// Starts the thread, if it does not run yet.
    ///
    /// - Throws: `SystemError` when the system starts no more threads.
    package func prepare() throws(SystemError) {
        try state.withLock { state throws(SystemError) in try start(&state) }
    }

    /// Takes a task's next step to the polling thread.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { state in
            precondition(state.phase != .ended, "a task was enqueued on an I/O thread that ended")
            // What cannot run anywhere else: whoever can be told calls `prepare()` first.
            do { try start(&state) } catch { fatalError("\(error)") }
            state.jobs.append(job)
            wakeIfAsleep(&state)
        }
    }

    // MARK: Waiting

    /// Suspends until `wait` is finished by another thread, at most until the deadline.
    package func waitFor(_ wait: IOWait, deadline: Duration?) async throws {
        try await wait.run {
            // Without a descriptor: only the deadline counts.
            add(Entry(wait: wait, descriptor: -1, events: 0, deadline: deadline))
        } forget: {
            // The thread drops it when it next looks: no descriptor waits for that.
        }
    }

    /// Suspends for a duration, exact to about 0.1 ms on an idle machine, and to 1 ms where there is
    /// no `ppoll`.
    package func sleep(for duration: Duration) async throws(CancellationError) {
        do { try await waitFor(IOWait(), deadline: SystemTime.monotonic() + duration) } catch {
            if error is CancellationError { throw CancellationError() }
            if (error as? SystemError)?.isTimeout == true { return }
            // There is no thread, and callers would ask again at once.
            do { try await Task.sleep(for: duration) } catch { throw CancellationError() }
        }
    }

    /// Adds a wait that ends when the descriptor is ready, has failed or hung up.
    ///
    /// The descriptor must stay open meanwhile: `IODescriptor` sees to that.
    func add(
        _ wait: IOWait, _ interest: Interest, _ descriptor: Int32, deadline: Duration?
    ) {
        let events = interest == .readable ? Int16(POLLIN) : Int16(POLLOUT)
        add(Entry(wait: wait, descriptor: descriptor, events: events, deadline: deadline))
    }

    /// Withdraws a wait that was finished elsewhere.
    func forget(_ wait: IOWait) {
        withdraw { $0.wait === wait }
    }

    /// Ends all waits for a descriptor.
    func endWaits(for descriptor: Int32, _ result: Result<Void, any Error>) {
        for wait in withdraw({ $0.descriptor == descriptor }) { wait.finish(result) }
    }

    private func add(_ entry: Entry) {
        let problem = state.withLock { state -> SystemError? in
            guard state.phase != .ended else { return Self.endedError }
            do throws(SystemError) { try start(&state) } catch { return error }
            state.entries.append(entry)
            wakeIfAsleep(&state)
            return nil
        }
        if let problem { entry.wait.finish(.failure(problem)) }
    }

    @discardableResult
    private func withdraw(_ isMeant: (Entry) -> Bool) -> [IOWait] {
        state.withLock { state in
            let waits = state.entries.filter(isMeant).map(\.wait)
            guard !waits.isEmpty else { return waits }
            state.entries.removeAll(where: isMeant)
            // A sleeping poll keeps the descriptor's file alive, even when it is closed.
            wakeIfAsleep(&state)
            return waits
        }
    }

    private static let endedError = SystemError(
        call: "poll", errno: ECANCELED, explanation: "the I/O thread was shut down")

    // MARK: The thread

    private func start(_ state: inout State) throws(SystemError) {
        guard state.phase == .notStarted else { return }
        try startThread(name) { self.serve() }
        state.phase = .running
    }

    /// Makes a sleeping thread look again, once per sleep; under the lock, so the pipe is open.
    private func wakeIfAsleep(_ state: inout State) {
        guard state.isAsleep else { return }
        state.isAsleep = false
        var byte: UInt8 = 1
        // A full pipe wakes as well, so the result does not matter.
        _ = write(state.wakeWriter, &byte, 1)
    }

    private func serve() {
        var polled: [pollfd] = []
        var waits: [IOWait?] = []
        while true {
            runJobs()
            guard let timeout = prepare(&polled, &waits) else { break }
            let ready = dstream_poll(&polled, nfds_t(polled.count), timeout)
            if ready < 0, currentErrno() != EINTR {
                // It would fail again at once: more is waited for than files may be open.
                _ = dstream_poll(&polled, 0, Self.lookMaximum)
            }
            state.withLock { $0.isAsleep = false }
            if ready > 0 { dispatch(polled, waits) }
            expire()
        }
        let (reader, writer) = state.withLock { ($0.wakeReader, $0.wakeWriter) }
        if reader >= 0 { close(reader) }
        if writer >= 0 { close(writer) }
    }

    private func runJobs() {
        let jobs = state.withLock { state in
            let jobs = state.jobs
            state.jobs.removeAll(keepingCapacity: false)
            return jobs
        }
        for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    /// Fills the list to poll; returns the time-out in nanoseconds, or `nil` when shut down.
    private func prepare(_ polled: inout [pollfd], _ waits: inout [IOWait?]) -> Int64? {
        polled.removeAll(keepingCapacity: true)
        waits.removeAll(keepingCapacity: true)
        return state.withLock { state in
            guard state.phase == .running else { return nil }
            // Without one, for want of descriptors, the thread looks often by itself.
            if state.wakeReader < 0, let pipe = try? IODescriptor.makePipe() {
                (state.wakeReader, state.wakeWriter) = pipe
            }
            polled.append(pollfd(fd: state.wakeReader, events: Int16(POLLIN), revents: 0))
            waits.append(nil)
            state.entries.removeAll { $0.wait.isFinished }
            // Poll refuses a list that is longer than the number of files that may be open.
            for entry in state.entries where entry.descriptor >= 0 {
                polled.append(pollfd(fd: entry.descriptor, events: entry.events, revents: 0))
                waits.append(entry.wait)
            }
            guard state.jobs.isEmpty else { return 0 }
            state.isAsleep = true
            let longest = state.wakeReader < 0 ? Self.lookMaximum : nil
            guard let first = state.entries.lazy.compactMap(\.deadline).min() else {
                return longest ?? -1
            }
            return min(Self.nanoseconds(until: first), longest ?? .max)
        }
    }

    /// How long a thread that cannot be woken waits at most, in nanoseconds.
    private static let lookMaximum: Int64 = 10_000_000

    private static func nanoseconds(until deadline: Duration) -> Int64 {
        let (seconds, attoseconds) = (deadline - SystemTime.monotonic()).components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < 1_000_000_000 else { return 1_000_000_000_000_000_000 }
        // Rounded up, so that the deadline has passed when the poll returns.
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000 + 1
    }

    private func dispatch(_ polled: [pollfd], _ waits: [IOWait?]) {
        if polled[0].revents != 0 { drainWakes(polled[0].fd) }
        var ready: [IOWait] = []
        for (entry, wait) in zip(polled, waits).dropFirst() where entry.revents != 0 {
            if let wait { ready.append(wait) }
        }
        guard !ready.isEmpty else { return }
        state.withLock { state in
            state.entries.removeAll { entry in ready.contains { $0 === entry.wait } }
        }
        // Errors and hang-ups are reported by the call that follows.
        for wait in ready { wait.finish(.success(())) }
    }

    private func expire() {
        let expired = state.withLock { state -> [IOWait] in
            guard state.entries.contains(where: { $0.deadline != nil }) else { return [] }
            let now = SystemTime.monotonic()
            let isDue: (Entry) -> Bool = { $0.deadline.map { $0 <= now } ?? false }
            let waits = state.entries.filter(isDue).map(\.wait)
            state.entries.removeAll(where: isDue)
            return waits
        }
        for wait in expired {
            wait.finish(.failure(SystemError(call: "poll", errno: ETIMEDOUT)))
        }
    }

    private func drainWakes(_ reader: Int32) {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while read(reader, buffer.baseAddress, buffer.count) == buffer.count {}
        }
    }
}
