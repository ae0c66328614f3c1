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
        drain: finishing
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
        drain: finishing
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
        drain: settling
        stop: ended | end
        """,
        .finishing: """
        ticked: finishing
        generated: traps
        generationFailed: traps
        completed: finishing | checkpoint#2 1000 [] done, generate 2000
        failed: settling
        notRun: settling
        probedTrue: finishing
        probedFalse: finishing
        checkpointWritten: finishing
        checkpointFailed: finishing
        cleanedUp: finishing
        drain: finishing
        stop: ended | end
        """,
        .probing: """
        ticked: probing
        generated: traps
        generationFailed: traps
        completed: probing | checkpoint#2 1000 [] done
        failed: settling
        notRun: settling
        probedTrue: finalBatch
        probedFalse: settling
        checkpointWritten: probing
        checkpointFailed: probing
        cleanedUp: probing
        drain: probing
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
        drain: finalBatch
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
        drain: settling
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
        drain: ended
        stop: ended
        """,
    ]
}
