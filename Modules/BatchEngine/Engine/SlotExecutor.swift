/// Threads for user code, which may block: tasks, driver bodies and receivers run here, never on the
/// cooperative pool.
///
/// Threads start when there is work for them and no idle one, up to a limit.
package final class SlotExecutor: TaskExecutor {
    /// Starts a thread with a name, which runs a body.
    package typealias Start = SystemThread.Start

    private struct Queue {
        var jobs: [UnownedJob] = []
        var head = 0
        var isClosed = false
        var idle = 0
        var started = 0
        var limit: Int

        var waiting: Int { jobs.count - head }

        mutating func takeFirst() -> UnownedJob? {
            guard head < jobs.count else { return nil }
            let job = jobs[head]
            head += 1
            if head == jobs.count {
                jobs.removeAll(keepingCapacity: true)
                head = 0
            } else if head >= 1024, head * 2 > jobs.count {
                jobs.removeFirst(head)
                head = 0
            }
            return job
        }
    }

    private let queue: Monitor<Queue>
    private let name: String
    private let idleMaximum: Int
    private let start: Start

    /// Makes an executor without threads.
    ///
    /// - Parameters:
    ///   - limit: how many threads there may be.
    ///   - idleMaximum: how many threads stay when there is nothing to do, 1 or more.
    ///   - start: starts a thread; tests give one that fails.
    package init(
        name: String, limit: Int, idleMaximum: Int, start: @escaping Start = SlotExecutor.start
    ) {
        self.name = name
        self.start = start
        self.idleMaximum = idleMaximum
        queue = Monitor(Queue(limit: limit))
    }

    /// Starts a thread of the system's.
    package static let start: Start = { name, body throws(SystemError) in
        try SystemThread.start(name: name, stackBytes: 8 << 20, body: body)
    }

    /// Sees to a first thread: with it, whatever is enqueued runs here, sooner or later.
    ///
    /// - Throws: `SystemError` when there is none and the system starts no more.
    package func prepare() throws(SystemError) {
        try queue.withLock { queue throws(SystemError) in
            guard queue.started == 0, !queue.isClosed else { return }
            try startThread(&queue)
        }
    }

    /// Takes a task's next step to one of the threads.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // All of it under the lock: once a thread may take the job, it may let go of the last
        // reference to this executor, and the runtime holds none while it calls.
        queue.withLock { queue in
            queue.jobs.append(job)
            callThread(&queue)
        }
    }

    /// Allows one thread more.
    func raiseLimit() {
        queue.withLock { queue in
            queue.limit += 1
            callThread(&queue)
        }
    }

    /// Takes back what ``raiseLimit()`` allowed; threads that are busy carry on.
    func lowerLimit() { queue.withLock { $0.limit -= 1 } }

    /// Allows as many new threads as are busy now, because these may never come back.
    package func replaceThreads() {
        queue.withLock { queue in
            queue.limit += queue.started - queue.idle
            for _ in 0..<queue.waiting { callThread(&queue) }
        }
    }

    /// Threads end when the queue is empty; jobs that arrive later still run, on new threads.
    package func close() {
        queue.withLock { $0.isClosed = true }
        queue.broadcast()
    }

    /// Wakes or starts a thread where a job waits and may run; under the lock, see ``enqueue(_:)``.
    ///
    /// A thread that was signalled counts as idle until it wakes: each needs a job of its own.
    private func callThread(_ state: inout Queue) {
        guard state.waiting > 0 else { return }
        if state.waiting <= state.idle { return queue.signal() }
        guard state.started < state.limit else { return }
        do { try startThread(&state) } catch {
            // The system has no more threads: the others carry on. Where there is none, what waits
            // runs on the pool rather than never.
            guard state.started == 0 else { return }
            while let job = state.takeFirst() { globalConcurrentExecutor.enqueue(job) }
        }
    }

    private func startThread(_ state: inout Queue) throws(SystemError) {
        try start(name) { self.work() }
        state.started += 1
    }

    private func work() {
        while let job = next() { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    private func next() -> UnownedJob? {
        var isIdle = false
        let job: UnownedJob?? = queue.wait { queue in
            if let job = queue.takeFirst() {
                if isIdle { queue.idle -= 1 }
                return .some(job)
            }
            let mayStay = isIdle || (queue.idle < idleMaximum && queue.started <= queue.limit)
            if queue.isClosed || !mayStay {
                if isIdle { queue.idle -= 1 }
                queue.started -= 1
                return .some(nil)
            }
            if !isIdle {
                isIdle = true
                queue.idle += 1
            }
            return nil
        }
        return job ?? nil
    }
}
