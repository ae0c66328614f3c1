/// The exceptions to the house rules; each must be found exactly as often as it says.
enum Allowances {
    static let attributes = [
        Allowance(
            path: "Modules/StreamingContext/Exports.swift", what: "@_exported", count: 3,
            reason: "a program needs one import"),
        Allowance(
            path: "Modules/DStreamCore/State/DStream+MapWithState.swift",
            what: "@_disfavoredOverload", count: 1,
            reason: "a chain goes on with the mapped stream, a variable keeps the snapshots, too"),
        general("BatchEngine/RDD/RDD+Keyed"), general("DStreamCore/Streams/DStream+Keyed"),
        general("DStreamCore/Streams/DStream+Windows"),
        general("DStreamCore/Streams/DStream+InverseWindows"),
    ]

    /// A form for any values, which the compiler looks at after that for `Int`.
    private static func general(_ file: String) -> Allowance {
        Allowance(
            path: "Modules/\(file).swift", what: "@_disfavoredOverload", count: 1,
            reason: "Docs/Decisions/0020-closure-bodies.md")
    }

    static let tasksAndTime = [
        Allowance(
            path: "Modules/BatchEngine/Engine/LocalEngine.swift", what: "Task {}", count: 1,
            reason: "a body that never returns must be abandoned at the deadline, not awaited"),
        Allowance(
            path: "Modules/BatchEngine/Engine/UserThreads.swift", what: "Task {}", count: 1,
            reason: "whoever looks whether a thread is free can end while none is"),
        Allowance(
            path: "Modules/BatchEngine/System/IOThread.swift", what: "Task.sleep", count: 1,
            reason: "where there is no thread for timers"),
        Allowance(
            path: "Modules/ReceiverRuntime/Supervision/ReceiverControl.swift", what: "Task {}",
            count: 1,
            reason: "a receiver that ignores its end must be abandoned at the deadline, not awaited"
        ),
        Allowance(
            path: "Modules/StreamingContext/Question.swift", what: "Task {}", count: 1,
            reason: "an actor that a call of the user's blocks never answers, and is not awaited"),
        Allowance(
            path: "Modules/StreamingContext/StreamingContext+Life.swift", what: "Task {}", count: 1,
            reason: "start() returns while run() goes on; the context owns the task"),
        Allowance(
            path: "Modules/DStreamCore/Time/SystemStreamClock.swift", what: "ContinuousClock()",
            count: 1, reason: "the clock that all others are injected in place of"),
    ]

    static let forced: [Allowance] = []

    static let unsafe = [
        Allowance(
            path: "Modules/BatchEngine/Codec/TupleLayout.swift", what: "unsafeBitCast", count: 1,
            reason: "Docs/Decisions/0002-tuple-codecs.md"),
        Allowance(
            path: "Modules/BatchEngine/Shuffle/StringKey.swift", what: "unsafeBitCast", count: 1,
            reason: "Docs/Decisions/0003-small-string-hash.md"),
        Allowance(
            path: "Modules/BatchEngine/System/Monitor.swift", what: "@unchecked", count: 1,
            reason: "its state is touched under its own lock only"),
        Allowance(
            path: "Modules/BatchEngine/Text/LineSplitter.swift", what: "@unchecked", count: 1,
            reason: "not copyable, and the only owner of its buffer"),
        Allowance(
            path: "Modules/BatchEngine/Text/LineBlock.swift", what: "nonisolated(unsafe)",
            count: 1, reason: "memory that is never written once the block is cut"),
    ]
}
