/// Threads of an engine: tasks and driver bodies run here, never on the cooperative pool.
///
/// Threads start when there is work for them and no idle one, up to a limit.
final class SlotExecutor: TaskExecutor {
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
    private enum Step { case signal, start, nothing }

    private let queue: Monitor<Queue>
    private let name: String
    private let idleMaximum: Int

    /// Makes an executor without threads.
    ///
    /// - Parameters:
    ///   - limit: how many threads there may be.
    ///   - idleMaximum: how many threads stay when there is nothing to do.
    init(name: String, limit: Int, idleMaximum: Int) {
        self.name = name
        self.idleMaximum = idleMaximum
        queue = Monitor(Queue(limit: limit))
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        perform(
            queue.withLock { queue in
                queue.jobs.append(job)
                return Self.step(&queue)
            })
    }

    /// Allows `count` threads more.
    func raiseLimit(by count: Int = 1) {
        perform(
            queue.withLock { queue in
                queue.limit += count
                return Self.step(&queue)
            })
    }

    /// Takes back what ``raiseLimit(by:)`` allowed; threads that are busy carry on.
    func lowerLimit() { queue.withLock { $0.limit -= 1 } }

    /// Allows as many new threads as there are now, because these may never come back.
    func replaceThreads() { raiseLimit(by: queue.withLock { $0.started }) }

    /// Threads end when the queue is empty; jobs that arrive later still run, on new threads.
    func close() {
        queue.withLock { $0.isClosed = true }
        queue.broadcast()
    }

    /// What to do so that a waiting job runs as soon as it may.
    ///
    /// A thread that was signalled counts as idle until it wakes: each needs a job of its own.
    private static func step(_ queue: inout Queue) -> Step {
        guard queue.waiting > 0 else { return .nothing }
        if queue.waiting <= queue.idle { return .signal }
        guard queue.started < queue.limit else { return .nothing }
        queue.started += 1
        return .start
    }

    private func perform(_ step: Step) {
        switch step {
        case .signal: queue.signal()
        case .start: startThread()
        case .nothing: break
        }
    }

    private func startThread() {
        do {
            try SystemThread.start(name: name, stackBytes: 8 << 20) { self.work() }
        } catch {
            // The system has no more threads: the others carry on; without any, nothing can run.
            let remaining = queue.withLock { queue in
                queue.started -= 1
                return queue.started
            }
            precondition(remaining > 0, "no engine thread could be started: \(error)")
        }
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
