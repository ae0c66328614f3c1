extension JobGeneratorMachineTests {
    /// What each state answers to each event: the phase after it, then what is to be done.
    static let table: [State: String] = [
        .running: """
        ticked: running
        generated: traps
        generationFailed: traps
        completed: running | checkpoint#2 1000 [] done, generate 2000
        failed: halted
        notRun: halted
        probedTrue: running
        probedFalse: running
        checkpointWritten: running
        checkpointFailed: running
        cleanedUp: running
        drainNow: finishing now
        drainDue: finishing atDueTimes
        stop: ended | end
        """,
        .generating: """
        ticked: running
        generated: running | checkpoint#1 1000 ["1000"]
        generationFailed: halted | checkpoint#1 1000 ["1000"]
        completed: running
        failed: running
        notRun: running
        probedTrue: running
        probedFalse: running
        checkpointWritten: running
        checkpointFailed: running
        cleanedUp: running
        drainNow: finishing now
        drainDue: finishing atDueTimes
        stop: ended | end
        """,
        .halted: """
        ticked: halted
        generated: traps
        generationFailed: traps
        completed: halted | checkpoint#2 1000 [] done
        failed: halted
        notRun: halted
        probedTrue: halted
        probedFalse: halted
        checkpointWritten: halted
        checkpointFailed: halted
        cleanedUp: halted
        drainNow: settling
        drainDue: settling
        stop: ended | end
        """,
        .finishing: """
        ticked: finishing now
        generated: traps
        generationFailed: traps
        completed: finishing now | checkpoint#2 1000 [] done, generate 2000
        failed: settling
        notRun: settling
        probedTrue: finishing now
        probedFalse: finishing now
        checkpointWritten: finishing now
        checkpointFailed: finishing now
        cleanedUp: finishing now
        drainNow: finishing now
        drainDue: finishing now
        stop: ended | end
        """,
        .probingNow: """
        ticked: probing now
        generated: traps
        generationFailed: traps
        completed: probing now | checkpoint#2 1000 [] done
        failed: settling
        notRun: settling
        probedTrue: finalBatch
        probedFalse: settling
        checkpointWritten: probing now
        checkpointFailed: probing now
        cleanedUp: probing now
        drainNow: probing now
        drainDue: probing now
        stop: ended | end
        """,
        .probingDue: """
        ticked: probing atDueTimes
        generated: traps
        generationFailed: traps
        completed: probing atDueTimes | checkpoint#2 1000 [] done
        failed: settling
        notRun: settling
        probedTrue: finishing atDueTimes
        probedFalse: settling
        checkpointWritten: probing atDueTimes
        checkpointFailed: probing atDueTimes
        cleanedUp: probing atDueTimes
        drainNow: probing now
        drainDue: probing atDueTimes
        stop: ended | end
        """,
        .finalBatch: """
        ticked: finalBatch
        generated: traps
        generationFailed: traps
        completed: settling | checkpoint#2 1000 [] done, generate 2000
        failed: settling
        notRun: settling
        probedTrue: finalBatch
        probedFalse: finalBatch
        checkpointWritten: finalBatch
        checkpointFailed: finalBatch
        cleanedUp: finalBatch
        drainNow: finalBatch
        drainDue: finalBatch
        stop: ended | end
        """,
        .awaitingTick: """
        ticked: finishing atDueTimes
        generated: traps
        generationFailed: traps
        completed: finishing atDueTimes | checkpoint#2 1000 [] done, generate 2000
        failed: settling
        notRun: settling
        probedTrue: finishing atDueTimes
        probedFalse: finishing atDueTimes
        checkpointWritten: finishing atDueTimes
        checkpointFailed: finishing atDueTimes
        cleanedUp: finishing atDueTimes
        drainNow: finalBatch
        drainDue: finishing atDueTimes
        stop: ended | end
        """,
        .settling: """
        ticked: settling
        generated: traps
        generationFailed: traps
        completed: settling | checkpoint#2 1000 [] done
        failed: settling
        notRun: settling
        probedTrue: settling
        probedFalse: settling
        checkpointWritten: settling
        checkpointFailed: settling
        cleanedUp: settling
        drainNow: settling
        drainDue: settling
        stop: ended | end
        """,
        .ended: """
        ticked: ended
        generated: ended
        generationFailed: ended
        completed: ended
        failed: ended
        notRun: ended
        probedTrue: ended
        probedFalse: ended
        checkpointWritten: ended
        checkpointFailed: ended
        cleanedUp: ended
        drainNow: ended
        drainDue: ended
        stop: ended
        """,
    ]
}
