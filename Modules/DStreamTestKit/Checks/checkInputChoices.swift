internal import BatchEngine
public import DStreamCore

/// Checks that what keeps the choices of inputs keeps the promises of `InputChoices`.
///
/// - Parameters:
///   - make: makes one that holds nothing; called several times.
///   - reopen: makes what a program that is started again makes; by default it is the same object.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what was thrown.
public func checkInputChoices(
    _ make: () async throws -> any InputChoices,
    reopen: (any InputChoices) async throws -> any InputChoices = { $0 }
) async throws {
    try await checkKeeping(try await make(), reopen)
    try await checkTasks(try await make(), reopen)
    try await checkReleasing(try await make(), reopen)
}

private let kinds: [InputChoice.Kind] = [
    .files, .offsets, .lostOffsets, .taken, .markedFiles,
]

private func choice(_ number: Int) -> InputChoice {
    let kind = kinds[number % kinds.count]
    return InputChoice(kind, [UInt8](repeating: UInt8(number), count: number * number))
}

private func checkKeeping(
    _ made: any InputChoices, _ reopen: (any InputChoices) async throws -> any InputChoices
) async throws {
    var choices = made
    let streams = [StreamID(0), StreamID(7)]
    // Batches do not always come in order: those that failed run later.
    let batches = [3, 1, 2, -4, 1_000_000].map { BatchTime.seconds($0) }
    var kept: [StreamID: [BatchTime: InputChoice]] = [:]
    func check(_ promise: String) async throws {
        for stream in streams {
            for batch in batches {
                let found = await choices.choice(of: stream, for: batch)
                try require(
                    found == kept[stream]?[batch],
                    "\(promise): stream \(stream), batch \(batch)")
            }
        }
    }
    try await check("nothing is chosen at first")
    var number = 0
    for batch in batches {
        for stream in streams where (stream, batch) != (streams[1], .seconds(2)) {
            number += 1
            try await choices.keep(choice(number), of: stream, for: batch)
            kept[stream, default: [:]][batch] = choice(number)
            try await check("a choice is of its stream and batch alone")
        }
    }
    choices = try await reopen(choices)
    try await check("what was kept is known in the next run")
    try await choices.keep(choice(12), of: streams[0], for: batches[1])
    kept[streams[0]]?[batches[1]] = choice(12)
    try await check("a later choice replaces the earlier one")
    choices = try await reopen(choices)
    try await check("a later choice replaces the earlier one in the next run, too")
}

private func checkTasks(
    _ made: any InputChoices, _ reopen: (any InputChoices) async throws -> any InputChoices
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<20 {
            group.addTask {
                try await made.keep(choice(number), of: StreamID(number), for: .seconds(1))
            }
        }
        try await group.waitForAll()
    }
    let again = try await reopen(made)
    for number in 0..<20 {
        let found = await again.choice(of: StreamID(number), for: .seconds(1))
        try require(found == choice(number), "streams can choose at the same time: \(number)")
    }
}

private func checkReleasing(
    _ made: any InputChoices, _ reopen: (any InputChoices) async throws -> any InputChoices
) async throws {
    var choices = made
    let stream = StreamID(1)
    for number in 0..<10 {
        try await choices.keep(choice(number), of: stream, for: .seconds(Int64(number) * 100))
    }
    func isKept(_ number: Int) async -> Bool {
        await choices.choice(of: stream, for: .seconds(Int64(number) * 100)) == choice(number)
    }
    try await choices.release(before: .seconds(500), keeping: [.seconds(200), .seconds(300)])
    for isReopened in [false, true] {
        if isReopened { choices = try await reopen(choices) }
        for number in 5..<10 {
            try require(await isKept(number), "release keeps batches from the threshold on")
        }
        for number in [2, 3] {
            try require(await isKept(number), "release keeps older batches that are pending")
        }
        // The next run may find them again, where only whole segments can be removed.
        for number in [0, 1, 4] where !isReopened {
            let found = await choices.choice(of: stream, for: .seconds(Int64(number) * 100))
            try require(found == nil, "release forgets older batches: \(number)")
        }
    }
}
