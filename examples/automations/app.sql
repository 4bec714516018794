-- What happens in a day: an instance starts to run, an upload comes, an order is placed, and a configuration breaks a rule.
insert into instances values ('i-1', 'pending', '{"owner": "ada"}');
update instances set state = 'running' where id = 'i-1';
insert into uploads values ('u-1', 'in', 'report.csv', 10);
insert into configs values ('c-1', 'core-1', 'CHG-7', 'line vty 0 4');
select millrace.emit('order.placed', 'o-1', '{"id": "o-1", "customer": "Ada", "total": 500}');
