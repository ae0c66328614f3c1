import BatchEngine
import Synchronization

/// Runs tasks on the test's own thread, when it says so: afterwards each of them is suspended or done.
final class StepExecutor: TaskExecutor {
    /// Nil: they go to the global executor.
    private let jobs = Locked<ArraySlice<UnownedJob>?>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        let isKept = jobs.withLock { jobs in
            jobs?.append(unowned)
            return jobs != nil
        }
        if !isKept { globalConcurrentExecutor.enqueue(ExecutorJob(unowned)) }
    }

    /// Lets the tasks go on without the test.
    func letGo() {
        let kept = jobs.withLock { jobs in
            defer { jobs = nil }
            return jobs ?? []
        }
        for job in kept { globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
    }

    /// Runs until nobody can go on.
    func runUntilIdle() {
        while let job = jobs.withLock({ $0?.popFirst() }) {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
