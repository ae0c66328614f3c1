/// The engine's own threads: tasks and driver bodies run here, never on the cooperative pool.
final class SlotExecutor: TaskExecutor {
    private struct Queue {
        var jobs: [UnownedJob] = []
        var head = 0
        var isClosed = false
        var idle = 0
        var started = 0
    }

    private let queue = Monitor(Queue())
    let slots: Int

    init(slots: Int) {
        self.slots = slots
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        enum Step { case signal, start, nothing }
        let step: Step = queue.withLock { queue in
            queue.jobs.append(job)
            if queue.idle > 0 { return .signal }
            // One thread more than slots: the driver body that waits for its stages needs none,
            // and one that blocks must not keep a stage from running.
            if queue.started < slots + 1 {
                queue.started += 1
                return .start
            }
            return .nothing
        }
        switch step {
        case .signal: queue.signal()
        case .start: startThread()
        case .nothing: break
        }
    }

    /// Threads end when the queue is empty; jobs that arrive later still run, on new threads.
    func close() {
        queue.withLock { $0.isClosed = true }
        queue.broadcast()
    }

    private func startThread() {
        do {
            try SystemThread.start(name: "dstream-slot", stackBytes: 8 << 20) { self.work() }
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
        queue.withLock { $0.idle += 1 }
        let job: UnownedJob?? = queue.wait { queue in
            if queue.head < queue.jobs.count {
                let job = queue.jobs[queue.head]
                queue.head += 1
                if queue.head == queue.jobs.count {
                    queue.jobs.removeAll(keepingCapacity: true)
                    queue.head = 0
                }
                queue.idle -= 1
                return .some(job)
            }
            if queue.isClosed {
                queue.idle -= 1
                queue.started -= 1
                return .some(nil)
            }
            return nil
        }
        return job ?? nil
    }
}
