package import DStreamCore

extension JobGeneratorMachine {
    /// Where the generator is in its life.
    package enum Phase: Sendable, Hashable {
        /// Batches are generated as they become due. Can transition to: halted, draining, ended.
        case running
        /// A batch failed under `.stop`, or no checkpoint could be written for too long: no batch is
        /// generated any more, those submitted end. Can transition to: draining, ended.
        case halted
        /// What was received is brought to an end. Can transition to: ended.
        case draining(Stage)
        /// Over; later events are ignored.
        case ended
    }

    /// How far draining is.
    package enum Stage: Sendable, Hashable {
        /// Batches that were due when draining began are generated. Can transition to: probing,
        /// settling.
        case finishing(through: BatchTime)
        /// It is being asked whether blocks are left. Can transition to: finalBatch, settling.
        case probing
        /// One more batch takes all blocks that are left, without waiting for its time. Can
        /// transition to: settling.
        case finalBatch
        /// Nothing more is generated; jobs, checkpoint and clean-up end. Can transition to: ended.
        case settling
    }

    /// Something that happened.
    package enum Event: Sendable, Hashable {
        /// The clock may have reached the next batch.
        case ticked
        /// Steps 1 to 4 of a batch are done.
        case generated(BatchTime)
        /// Steps 1 to 4 of a batch failed; nothing was submitted.
        case generationFailed(BatchTime)
        /// A submitted batch has ended.
        case batchEnded(BatchTime, JobSetOutcome)
        /// It is known whether received blocks belong to no batch yet.
        case probed(hasUnallocatedBlocks: Bool)
        /// A checkpoint, and with it all of lower tickets, is durable.
        case checkpointWritten(ticket: Int)
        /// A checkpoint could not be written.
        case checkpointFailed(ticket: Int)
        /// A clean-up has ended.
        case cleanedUp
        /// Everything received is to be processed, then the generator ends.
        case drain
        /// The generator ends at once.
        case stop
    }

    /// Something to be done.
    package enum Action: Sendable, Hashable {
        /// Do steps 1 to 4 of a batch; answered by `generated` or `generationFailed`.
        case generate(BatchTime)
        /// Tell that a batch is generated late.
        case reportLate(BatchTime, by: Duration)
        /// Report that batches are skipped, one interval apart.
        case reportSkipped(from: BatchTime, count: Int64)
        /// Write a checkpoint, in place of one that waits.
        case writeCheckpoint(Checkpoint)
        /// Forget what is older than a batch that has ended needs, but none from `keeping` on, and
        /// of those that have failed nothing that a restart needs; answered by `cleanedUp`.
        case cleanUp(BatchTime, keeping: BatchTime?, failed: Set<BatchTime>)
        /// Tell that a failed batch is given up, because too many have failed since.
        case setAside(BatchTime)
        /// Tell that the stream ends here, as no checkpoint could be written since a batch completed.
        case reportCheckpointsLost(since: BatchTime, count: Int)
        /// Ask whether there are unallocated blocks; answered by `probed`.
        case probe
        /// Leave the loop.
        case end
    }

    /// What a checkpoint says about batches.
    package struct Checkpoint: Sendable, Hashable {
        /// Rises with every checkpoint.
        package var ticket: Int
        /// The latest batch begun.
        package var time: BatchTime
        /// Batches begun and not completed.
        package var pending: [BatchTime]
        /// Whether `time` has completed.
        package var isCompleted: Bool
        /// The latest batch that has completed.
        package var newestCompleted: BatchTime?
    }
}
