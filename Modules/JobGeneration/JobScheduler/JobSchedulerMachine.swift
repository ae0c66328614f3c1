internal import BatchEngine
package import DStreamCore

/// Decides which job runs next and what listeners are notified of: the batches of a scheduler.
///
/// A value without clock, lock or suspension: it takes an event and returns what is to be done.
///
/// ```
///   running ──(failure under .stop)──▶ halted
///      └──────────(stop)──────────▶ stopping ─▶ ended      (stop: halted ─▶ stopping)
/// ```
package struct JobSchedulerMachine: Sendable {
    /// Where the scheduler is in its life.
    package enum Phase: Sendable, Hashable {
        /// Job sets are taken and run. Can transition to: halted, stopping.
        case running
        /// A batch failed under `.stop`: no later batch starts, those started end. Can transition to:
        /// stopping.
        case halted
        /// No job starts any more, those running end. Can transition to: ended.
        case stopping
        /// Over; later events are ignored.
        case ended
    }

    /// Something that happened.
    package enum Event: Sendable {
        /// A job set came, at the time it was handed over.
        case submitted(JobSet, at: BatchTime)
        /// A job ended, well or badly.
        case jobEnded(batch: BatchTime, outputOperation: Int, failure: JobFailure?)
        /// A failed batch is given up for good.
        case setAside(BatchTime)
        /// No further job is to start.
        case stop
    }

    /// Something to be done.
    package enum Action: Sendable {
        /// Tell the listeners.
        case post(StreamEvent)
        /// Run a job; answered by `jobEnded`.
        case start(Job)
        /// Report the error of the job that just ended.
        case reportFailure
        /// Tell the submitter how the set ended; the facts are there when its jobs were run.
        case ended(BatchTime, JobSetOutcome, BatchInfo?)
        /// Leave the loop.
        case end
    }

    private struct Entry {
        let jobSet: JobSet
        let submissionTime: BatchTime
        var startTime: BatchTime?
        var startedCount = 0
        var endedCount = 0
        var operations: [Int: OutputOperationInfo]

        var isStarted: Bool { startedCount > 0 }
        /// What follows from the failures that have no dead letter.
        var verdict: FailurePolicy?
        /// Whether there is no output operation for listeners to be notified of.
        var isHidden: Bool { jobSet.jobs.allSatisfy(\.output.isHidden) }

        func info(endTime: BatchTime? = nil) -> BatchInfo {
            var visible = operations
            for job in jobSet.jobs where job.output.isHidden {
                visible[job.output.outputOperation] = nil
            }
            return BatchInfo(
                batchTime: jobSet.time, streamIDToInputInfo: jobSet.inputInfo,
                submissionTime: submissionTime, processingStartTime: startTime,
                processingEndTime: endTime, outputOperationInfos: visible)
        }
    }

    /// Where the scheduler is.
    package private(set) var phase = Phase.running
    private let concurrentJobs: Int
    /// Sets that have not ended, in the order of their submission.
    private var entries: [Entry] = []
    /// Batches that ended without being done.
    private var undone: Set<BatchTime> = []
    private var runningCount = 0
    private var completedCount = 0
    private var failedCount = 0
    private var deadLetterCount = 0

    /// Makes a machine that runs.
    ///
    /// - Parameter concurrentJobs: how many jobs run at once; fewer than 1 count as 1.
    package init(concurrentJobs: Int) {
        self.concurrentJobs = max(1, concurrentJobs)
    }

    /// Takes an event.
    ///
    /// - Parameter now: the present time.
    /// - Returns: what is to be done, in this order.
    package mutating func handle(_ event: Event, now: BatchTime) -> [Action] {
        if phase == .ended {
            // The submitter is notified even now, so that it does not wait for ever.
            guard case .submitted(let jobSet, _) = event else { return [] }
            return refuse(jobSet.time)
        }
        switch event {
        case .submitted(let jobSet, let time): return submitted(jobSet, time) + startJobs(now)
        case .jobEnded(let batch, let number, let failure):
            return jobEnded(batch, number, failure, now) + startJobs(now) + endIfIdle()
        case .setAside(let batch):
            undone.remove(batch)
            return []
        case .stop:
            phase = .stopping
            return dropQueued() + endIfIdle()
        }
    }

    private mutating func submitted(_ jobSet: JobSet, _ time: BatchTime) -> [Action] {
        guard phase == .running else { return refuse(jobSet.time) }
        precondition(
            !entries.contains { $0.jobSet.time == jobSet.time },
            "batch \(jobSet.time) was submitted again before it ended")
        if jobSet.jobs.isEmpty {
            completedCount += 1
            return [.ended(jobSet.time, .completed, nil)]
        }
        var operations: [Int: OutputOperationInfo] = [:]
        for job in jobSet.jobs { operations[job.output.outputOperation] = job.info() }
        let entry = Entry(jobSet: jobSet, submissionTime: time, operations: operations)
        entries.append(entry)
        return entry.isHidden ? [] : [.post(.batchSubmitted(entry.info()))]
    }

    /// Starts jobs, first in, first out over all sets, while there is room.
    private mutating func startJobs(_ now: BatchTime) -> [Action] {
        guard phase == .running || phase == .halted else { return [] }
        var actions: [Action] = []
        while runningCount < concurrentJobs,
            let index = entries.firstIndex(where: { $0.startedCount < $0.jobSet.jobs.count })
        {
            let job = entries[index].jobSet.jobs[entries[index].startedCount]
            entries[index].startedCount += 1
            runningCount += 1
            if entries[index].startTime == nil {
                entries[index].startTime = now
                if !entries[index].isHidden {
                    actions.append(.post(.batchStarted(entries[index].info())))
                }
            }
            let info = job.info(startTime: now)
            entries[index].operations[info.id] = info
            if !job.output.isHidden { actions.append(.post(.outputOperationStarted(info))) }
            actions.append(.start(job))
        }
        return actions
    }

    private mutating func jobEnded(
        _ batch: BatchTime, _ number: Int, _ failure: JobFailure?, _ now: BatchTime
    ) -> [Action] {
        guard let index = entries.firstIndex(where: { $0.jobSet.time == batch }),
            let started = entries[index].operations[number], started.startTime != nil,
            started.endTime == nil
        else { preconditionFailure("output operation \(number) of \(batch) ended unstarted") }
        runningCount -= 1
        entries[index].endedCount += 1
        let info = started.ended(at: now, failure?.reason)
        entries[index].operations[number] = info
        let isHidden = entries[index].jobSet.jobs.contains {
            $0.output.isHidden && $0.output.outputOperation == number
        }
        var actions: [Action] = [.post(.outputOperationCompleted(info))]
        if isHidden {
            // Its failure must be seen, and nothing else of it.
            actions = failure == nil ? [] : [.post(.outputOperationStarted(started))] + actions
        }
        switch failure?.policy {
        case nil: break
        case .deadLetter?:
            deadLetterCount += 1
            actions.append(
                .post(
                    .outputOperationDeadLettered(info, elementCount: failure?.elementCount ?? 0)))
        case .continue?: entries[index].verdict = entries[index].verdict ?? .continue
        case .stop?: entries[index].verdict = .stop
        }
        let isDone = entries[index].endedCount == entries[index].jobSet.jobs.count
        if isDone, !entries[index].isHidden {
            actions.append(.post(.batchCompleted(entries[index].info(endTime: now))))
        }
        if let failure, failure.policy != .deadLetter { actions.append(.reportFailure) }
        if isDone {
            let entry = entries.remove(at: index)
            if entry.verdict != nil {
                failedCount += 1
                undone.insert(batch)
            } else {
                completedCount += 1
            }
            actions.append(
                .ended(
                    batch, entry.verdict.map { .failed($0) } ?? .completed,
                    entry.isHidden ? nil : entry.info(endTime: now)))
        }
        if failure?.policy == .stop, phase == .running {
            phase = .halted
            actions += dropQueued()
        }
        return actions
    }

    /// Lets go of the sets of which no job has started.
    private mutating func dropQueued() -> [Action] {
        let dropped = entries.filter { !$0.isStarted }.map(\.jobSet.time)
        entries.removeAll { !$0.isStarted }
        return dropped.flatMap { refuse($0) }
    }

    private mutating func refuse(_ batch: BatchTime) -> [Action] {
        undone.insert(batch)
        return [.ended(batch, .notRun, nil)]
    }

    private mutating func endIfIdle() -> [Action] {
        guard phase == .stopping, runningCount == 0 else { return [] }
        return end()
    }

    /// Ends whatever is under way: nobody is notified of the jobs that run.
    ///
    /// - Returns: what is to be done; nothing when the machine has ended already.
    package mutating func end() -> [Action] {
        if phase == .ended { return [] }
        phase = .ended
        let left = entries.map(\.jobSet.time)
        entries = []
        runningCount = 0
        return left.flatMap { refuse($0) } + [.end]
    }
}

/// How a job failed.
package struct JobFailure: Sendable, Hashable {
    /// Operator, task and error in one line.
    package var reason: String
    /// What follows.
    package var policy: FailurePolicy
    /// How many elements its dead letter keeps.
    package var elementCount = 0

    package init(reason: String, policy: FailurePolicy, elementCount: Int = 0) {
        self.reason = reason
        self.policy = policy
        self.elementCount = elementCount
    }
}

extension JobSchedulerMachine {
    /// Batches submitted and not done, ascending: waiting, running, failed or never run.
    package var pendingBatches: [BatchTime] {
        undone.union(entries.map(\.jobSet.time)).sorted()
    }

    /// How many batches are where.
    package var statistics: JobScheduler.Statistics {
        let running = entries.count { $0.isStarted }
        return JobScheduler.Statistics(
            queuedBatches: entries.count - running, runningBatches: running,
            completedBatches: completedCount, failedBatches: failedCount,
            deadLetters: deadLetterCount)
    }
}

extension Job {
    func info(startTime: BatchTime? = nil) -> OutputOperationInfo {
        OutputOperationInfo(
            batchTime: batchTime, id: output.outputOperation, name: output.site.name,
            description: "\(output.site)", startTime: startTime)
    }
}

extension OutputOperationInfo {
    fileprivate func ended(at time: BatchTime, _ failure: String?) -> OutputOperationInfo {
        OutputOperationInfo(
            batchTime: batchTime, id: id, name: name, description: description,
            startTime: startTime, endTime: time, failureReason: failure)
    }
}
