import DStreamCore
import Testing

/// The mailbox: order, room, replacement, ends and cancellation.
@Suite(.timeLimit(.minutes(5))) struct MailboxTests {
    @Test func messagesComeInTheOrderTheyWerePosted() async throws {
        let mailbox = Mailbox<Int>(capacity: 2)
        try await mailbox.send(1)
        mailbox.post(2)
        try await mailbox.send(3)
        mailbox.finish()
        #expect(await all(of: mailbox) == [1, 2, 3])
    }

    @Test func aFullMailboxSuspendsSendersAndLetsThemInInTurn() async throws {
        let mailbox = Mailbox<Int>(capacity: 1)
        let executor = StepExecutor()
        try await mailbox.send(1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for message in 2...3 {
                group.addTask(executorPreference: executor) { try await mailbox.send(message) }
            }
            executor.runUntilIdle()
            #expect(mailbox.suspendedSenderCount == 2)
            // Neither replies nor ticks wait for the room that data take.
            mailbox.post(10)
            mailbox.postCoalescing(20)
            var got: [Int] = []
            for _ in 0..<5 { got.append(try #require(await mailbox.next())) }
            #expect(got == [1, 10, 20, 2, 3])
            executor.runUntilIdle()
            try await group.waitForAll()
        }
    }

    @Test func theNewestOfAKeyReplacesTheOneThatWaitsInItsPlace() async {
        let mailbox = Mailbox<String>(capacity: 1)
        mailbox.postCoalescing("a1", key: 1)
        mailbox.postCoalescing("b1", key: 2)
        mailbox.post("reply")
        mailbox.postCoalescing("a2", key: 1)
        mailbox.finish()
        #expect(await all(of: mailbox) == ["a2", "b1", "reply"])
    }

    @Test func whatWasTakenIsNotReplaced() async {
        let mailbox = Mailbox<Int>(capacity: 1)
        mailbox.postCoalescing(1)
        #expect(await mailbox.next() == 1)
        mailbox.postCoalescing(2)
        mailbox.finish()
        #expect(await all(of: mailbox) == [2])
    }

    @Test func anEndedMailboxTakesNothing() async throws {
        let mailbox = Mailbox<Int>(capacity: 1)
        try await mailbox.send(1)
        mailbox.post(2)
        #expect(mailbox.close() == [1, 2])
        #expect(!mailbox.post(3))
        #expect(!mailbox.postCoalescing(4))
        await #expect(throws: MailboxFinished()) { try await mailbox.send(5) }
        #expect(await mailbox.next() == nil)
    }

    @Test func endingWakesSuspendedSenders() async throws {
        let mailbox = Mailbox<Int>(capacity: 1)
        try await mailbox.send(1)
        let executor = StepExecutor()
        await withTaskGroup(of: Bool.self) { group in
            group.addTask(executorPreference: executor) {
                do {
                    try await mailbox.send(2)
                    return false
                } catch { return error is MailboxFinished }
            }
            executor.runUntilIdle()
            #expect(mailbox.suspendedSenderCount == 1)
            mailbox.finish()
            executor.runUntilIdle()
            #expect(await group.next() == true)
        }
        #expect(await all(of: mailbox) == [1])
    }

    @Test func aWaitingReaderIsWokenByMessageEndAndCancellation() async {
        let mailbox = Mailbox<Int>(capacity: 1)
        await withTaskGroup(of: Int?.self) { group in
            group.addTask { await mailbox.next() }
            mailbox.post(7)
            #expect(await group.next() == .some(7))
            group.addTask { await mailbox.next() }
            group.cancelAll()
            #expect(await group.next() == .some(nil))
        }
        await withTaskGroup(of: Int?.self) { group in
            group.addTask { await mailbox.next() }
            mailbox.finish()
            #expect(await group.next() == .some(nil))
        }
    }

    @Test func whatIsAddedQuietlyKeepsItsPlaceAndWakesNobody() async throws {
        let mailbox = Mailbox<Int>(capacity: 1)
        let executor = StepExecutor()
        let wakeUps = Mailbox<Bool>(capacity: 1)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask(executorPreference: executor) {
                let hasNext = await mailbox.hasNext()
                wakeUps.post(hasNext)
                return hasNext
            }
            executor.runUntilIdle()
            mailbox.post(1, quietly: true)
            try await mailbox.send(2, quietly: true)
            executor.runUntilIdle()
            #expect(wakeUps.count == 0)
            mailbox.post(3)
            executor.runUntilIdle()
            #expect(try await group.next() == true)
        }
        #expect((1...4).map { _ in mailbox.takeNext() } == [1, 2, 3, nil])
        mailbox.finish()
        #expect(await mailbox.hasNext() == false)
    }

    @Test func aCancelledSenderLeavesNoMessage() async throws {
        let mailbox = Mailbox<Int>(capacity: 1)
        try await mailbox.send(1)
        let executor = StepExecutor()
        await withTaskGroup(of: Bool.self) { group in
            group.addTask(executorPreference: executor) {
                do {
                    try await mailbox.send(2)
                    return false
                } catch { return error is CancellationError }
            }
            executor.runUntilIdle()
            #expect(mailbox.suspendedSenderCount == 1)
            group.cancelAll()
            executor.runUntilIdle()
            #expect(await group.next() == true)
        }
        #expect(mailbox.suspendedSenderCount == 0)
        #expect(mailbox.close() == [1])
    }

    @Test func manySendersLoseNothingAtCapacityOne() async throws {
        let mailbox = Mailbox<Int>(capacity: 1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for sender in 0..<8 {
                group.addTask {
                    for index in 0..<250 { try await mailbox.send(sender * 1000 + index) }
                }
            }
            var last = [Int](repeating: -1, count: 8)
            for _ in 0..<2000 {
                let message = try #require(await mailbox.next())
                // Each sender's own order is kept.
                #expect(message % 1000 == last[message / 1000] + 1)
                last[message / 1000] = message % 1000
            }
            try await group.waitForAll()
        }
        #expect(mailbox.count == 0)
    }

    private func all<Message>(of mailbox: Mailbox<Message>) async -> [Message] {
        var messages: [Message] = []
        while let message = await mailbox.next() { messages.append(message) }
        return messages
    }
}
